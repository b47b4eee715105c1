"""The pages on which people set up and remove their second factors."""
