"""What several test folders share: paths, compiling C, and tests that are not Python."""
