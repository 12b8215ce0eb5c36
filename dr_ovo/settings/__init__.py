"""The settings of a run: options, limits, command line, file, flags of earlier toolkits."""
