"""`python -m pds` is the `pds` command."""

from pds.cli import main

if __name__ == "__main__":
    main()
