"""A report as sections, tables and figures: on the screen, in files, as an HTML page."""
