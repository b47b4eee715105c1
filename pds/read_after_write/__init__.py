"""Read-after-write: what an account has just written, in answers of an AppView that lags behind."""
