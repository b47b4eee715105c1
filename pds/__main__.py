"""`python -m pds` is the `pds` command."""

from pds.cli import main

main()
