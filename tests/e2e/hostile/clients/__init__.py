"""Hostile clients, each a program: `python -m tests.e2e.hostile.clients.NAME`.

Each is bounded in number and time, prints `ATTACKING` once it does what it is for, and stops by
itself. They speak to loopback only.
"""
