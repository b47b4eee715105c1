"""The contents of one repository: reading, writing, importing, quotas."""
