"""Limits on what one stranger may take of a shared server: turns, pace, and presence.

Everything here is below the context and knows neither accounts nor methods. A holder is the party
that a share is counted for, named by the caller: a DID, or the group of an address.
"""
