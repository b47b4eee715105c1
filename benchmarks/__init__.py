"""Holdfast and the reference PDS under the same load, one after the other on this machine."""
