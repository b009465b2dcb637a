"""Tests of what is on disk: recovery, checkpoints, damage, power failures, the daemon."""
