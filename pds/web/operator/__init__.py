"""Routes for the operator, below `/_holdfast/`: JSON, with the administrator's password.

They are routes of our own, for which there are no Lexicon methods.
"""
