"""``python -m nbhelpers`` is the command ``nbhelpers``."""

from nbhelpers.cli import main

main()
