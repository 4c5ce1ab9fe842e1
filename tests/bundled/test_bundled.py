from __future__ import annotations

import subprocess
import sys

import pytest

from nbhelpers.bundled import BUNDLED, bundled_data
from nbhelpers.errors import DataError


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundle_has_its_files_and_says_what_it_is(name: str) -> None:
    bundle = bundled_data(name)
    assert bundle.name == name
    assert bundle.train.is_file()
    assert bundle.test.is_file()
    assert (bundle.train.parent / "PROVENANCE.md").is_file()
    assert bundle.task in ("classification", "regression")


def test_twin_is_called_synthetic_and_names_source_and_licence() -> None:
    bundle = bundled_data("bank-marketing-twin")
    assert bundle.synthetic
    assert "synthetic" in bundle.description.lower()
    assert "Moro" in bundle.citation
    assert "CC BY 4.0" in bundle.citation


@pytest.mark.parametrize("name", ["bank_marketing", "", None])
def test_unknown_name_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(DataError, match=rf"data set {name!r}\.\nTo mend it: Use one of: bank-marketing-twin"):
        bundled_data(name)


def test_import_is_light() -> None:
    code = "import sys, nbhelpers.bundled; print(sorted({'numpy', 'pandas', 'lightgbm'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
