"""The simulated home."""
