"""What has begun and is not finished: journal, retries, imports, uploads."""
