"""The checks of an audit, one module per group of findings."""
