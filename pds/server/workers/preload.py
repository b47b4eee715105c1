"""Loads what workers need, once, into the process that they are forked from.

They share its memory, and start in a moment.
"""

import gc

import pds.server.workers.main  # noqa: F401 (all of the server)
from repo.lexicon import default_lexicons

default_lexicons()
# What is never collected is never written to, and stays shared.
gc.collect()
gc.freeze()
