"""Templates of the generated files; `emit` fills them."""
