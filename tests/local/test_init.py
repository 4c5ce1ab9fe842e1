from __future__ import annotations

import subprocess
import sys

import pytest

import nbhelpers.local as local


def test_every_public_name_can_be_had() -> None:
    assert all(getattr(local, name).__name__ == name for name in dir(local))
    with pytest.raises(AttributeError, match="has no attribute 'Works'"):
        _ = local.Works


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, nbhelpers.local; print({'pandas', 'sklearn', 'sqlalchemy', 'lightgbm'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
