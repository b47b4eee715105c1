"""Who calls: service tokens, and what repeated refusals cost."""
