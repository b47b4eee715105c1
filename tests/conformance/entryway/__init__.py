"""The same requests to servers behind entryways."""
