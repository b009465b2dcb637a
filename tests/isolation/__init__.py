"""Isolation: anomalies by name, in every interleaving, across processes."""
