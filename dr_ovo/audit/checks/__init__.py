"""The checks of an audit: one module per kind of finding."""
