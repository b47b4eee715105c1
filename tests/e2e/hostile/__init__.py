"""Strangers who mean harm, as real processes against a real server, and neighbours who suffer none.

The clients are in `clients/`. `make hostile` runs every test here in its long form.
"""
