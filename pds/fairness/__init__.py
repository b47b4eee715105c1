"""Fair sharing of a server among strangers: bounded turns, and no waiting for absent clients.

Everything here is below the context and knows neither accounts nor methods. A holder is the party
that a share is counted for, named by the caller: a DID, or the group of an address.
"""
