"""Captain and crew: who may do what, and how much each may store."""
