"""Functions that take a run and show it."""
