"""These notebooks are material for tests of the batch; nbval is not to run them."""

from __future__ import annotations

collect_ignore_glob = ["*.ipynb", "*/*.ipynb"]
