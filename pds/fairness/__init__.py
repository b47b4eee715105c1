"""What one stranger may take of a server that many share: turns, and nobody waited for in vain.

Everything here is below the context and knows neither accounts nor methods. A holder is whoever a
share is counted for, in a word of the caller's: a DID, or the group of an address.
"""
