"""Audits a dataset for leaks and flaws that distort its scores, and reports them."""
