"""What a browser, a certificate authority or another server asks for outside XRPC."""
