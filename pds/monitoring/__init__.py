"""Monitoring of a running server: logs, health, request statistics."""
