"""Read-after-write: an account's latest writes, added to answers of an AppView that lags."""
