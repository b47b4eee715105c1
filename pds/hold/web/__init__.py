"""Routes outside XRPC: well-known documents, and the page of the hold."""
