"""`python -m aerostore`: the command line."""

from aerostore.cli import main

if __name__ == "__main__":
    main()
