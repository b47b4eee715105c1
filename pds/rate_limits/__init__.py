"""Rate limits: how often a client or an account may call which method."""
