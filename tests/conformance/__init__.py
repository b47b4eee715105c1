"""Holdfast beside the real reference PDS: `make conformance`."""
