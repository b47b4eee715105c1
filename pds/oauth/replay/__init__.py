"""What may be used only once: ids of proofs and assertions, code challenges."""
