"""The documentation is true: its examples run, its site builds, its man page is fresh."""
