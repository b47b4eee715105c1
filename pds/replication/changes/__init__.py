"""Which actors have changed: the event log, and the times of their files."""
