"""Moving accounts in from another server, and out to another, in steps that can be resumed."""
