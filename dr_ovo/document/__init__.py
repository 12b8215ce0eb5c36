"""A report as sections, tables and figures: printed, in files, as an HTML page."""
