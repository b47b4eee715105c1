"""Routes for the operator, below `/_holdfast/`: JSON, with the administrator's password.

They are routes of our own, for what no Lexicon has a method.
"""
