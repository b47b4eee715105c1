"""Metrics for Prometheus: the counts of the server's parts, read when scraped.

Nothing outside this package knows Prometheus. No label holds what a user or a stranger chose.
"""
