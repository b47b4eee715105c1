"""`/account`: what a person sees and changes of the own account."""
