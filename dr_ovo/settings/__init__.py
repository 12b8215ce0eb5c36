"""The settings of a run: options and limits, command line, settings file, earlier flags."""
