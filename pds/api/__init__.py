"""The endpoints: one module per Lexicon namespace."""
