from __future__ import annotations

import subprocess
import sys

import pytest

import nbhelpers.automl


def test_importing_the_package_is_light():
    code = "import sys, nbhelpers.automl; print({'numpy', 'pandas', 'sklearn', 'lightgbm'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_every_public_name_is_there():
    for name in nbhelpers.automl.__all__:
        assert getattr(nbhelpers.automl, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        nbhelpers.automl.nothing  # noqa: B018
