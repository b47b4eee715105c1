"""Routes outside XRPC, for browsers, certificate authorities and other servers."""
