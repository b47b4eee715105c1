"""The event log and the firehose: append, backfill, fan-out."""
