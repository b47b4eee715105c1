"""Metrics for Prometheus: what the parts of the server count, read when somebody asks.

Nothing outside of this package knows Prometheus. No label holds what a user or a stranger chose.
"""
