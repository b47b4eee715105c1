"""The server: XRPC, accounts, web pages, command line."""
