"""DPoP: proofs that a request comes from the holder of a key (RFC 9449)."""
