"""Run the compiler: `aerostore-compile`, or `python -m aerostore_codegen`."""

from .cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
