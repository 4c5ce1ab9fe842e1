from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from nbhelpers.azure.uploading import CONTENT, digest

from ..local.conftest import bank_like
from .conftest import Run

PREPARE = """
prepared = nbhelpers.prepare_data(ml, ws, "uploaded.csv", label="y")
print(json.dumps([prepared.train.name, prepared.train.version, prepared.train.tags, prepared.test.version]))
"""


def test_a_digest_is_of_names_types_and_values_in_their_order() -> None:
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert digest(table) == digest(table.set_axis([7, 8]))
    others = [
        table[["b", "a"]],
        table.rename(columns={"a": "c"}),
        table.astype({"a": float}),
        table.iloc[::-1],
        table.assign(b=["x", ""]),
    ]
    assert len({digest(other) for other in [table, *others]}) == 6


def test_a_local_file_is_uploaded_once_and_read_as_on_local(program: Run, tmp_path: Path) -> None:
    bank_like(200).to_csv(tmp_path / "uploaded.csv", index=False)
    name, version, tags, test_version = first = program(PREPARE)
    assert (name, version, test_version) == ("uploaded", 1, 1)
    assert tags == {"label": "y", "task": "classification", "test_dataset": "uploaded-test:1", CONTENT: tags[CONTENT]}
    assert program(PREPARE) == first
    read = program("print(ws.datasets['uploaded'].to_pandas_dataframe().to_json(orient='table', index=False))")
    assert {field["name"]: field["type"] for field in read["schema"]["fields"]} == {
        "age": "integer",
        "job": "string",
        "duration": "number",
        "y": "string",
    }
    bank_like(200, seed=1).to_csv(tmp_path / "uploaded.csv", index=False)
    assert program(PREPARE)[1] == 2


def test_new_facts_about_the_same_rows_make_no_new_version(program: Run, tmp_path: Path) -> None:
    bank_like(100).to_csv(tmp_path / "rows.csv", index=False)
    code = """
import pandas as pd
from nbhelpers.azure.uploading import upload
rows = pd.read_csv("rows.csv")
for tags in {"label": "y"}, {"label": "job"}:
    upload(ws, rows, "facts", "Of a test", tags)
found = ml.Dataset.get_by_name(ws, "facts")
print(json.dumps([found.version, found.tags["label"], found.description]))
"""
    assert program(code) == [1, "job", "Of a test"]


def test_a_registered_set_with_a_test_set_of_its_own_keeps_its_version(program: Run, tmp_path: Path) -> None:
    for name, seed in ("known", 2), ("known-rest", 3):
        bank_like(100, seed).to_csv(tmp_path / f"{name}.csv", index=False)
    code = """
nbhelpers.prepare_data(ml, ws, "known.csv", "known-rest.csv", label="y")
prepared = nbhelpers.prepare_data(ml, ws, "known", "known-test", label="y")
print(json.dumps([prepared.train.version, prepared.test.version, prepared.train.tags["test_dataset"]]))
"""
    assert program(code) == [1, 1, "known-test:1"]


@pytest.mark.parametrize("fault", ["no-such.csv", "bank-marketing-twinn"])
def test_a_file_that_is_missing_is_refused_as_on_local(program: Run, fault: str) -> None:
    said = program(f"nbhelpers.prepare_data(ml, ws, {json.dumps(fault)}, label='y')", fails=True)
    assert f"'{fault}' does not exist" in said
