from __future__ import annotations

import json
from typing import Any

import jsonschema
import pandas as pd
import pytest

from nbhelpers.errors import DataError
from nbhelpers.local import Dataset, TabularDataset, Workspace
from nbhelpers.local.rows import RowColumn, example_row, frame_of, training_columns

from .deployed import features, mixed

COLUMNS = [
    RowColumn("age", "integer", []),
    RowColumn("amount", "number", []),
    RowColumn("member", "boolean", []),
    RowColumn("job", "string", ["admin.", "student"]),
    RowColumn("since", "date-time", []),
]
ROW = {"age": 30, "amount": 1.5, "member": True, "job": "student", "since": "2024-02-29"}


def registered(workspace: Workspace, frame: pd.DataFrame) -> TabularDataset:
    return Dataset.Tabular.register_pandas_dataframe(
        frame, workspace.get_default_datastore(), "mixed", show_progress=False
    )


def as_json(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", date_format="iso", double_precision=15))
    return rows


def test_rows_in_json_become_what_the_stored_table_is(workspace: Workspace) -> None:
    dataset = registered(workspace, features(mixed()))
    columns = training_columns(dataset, "none of them", {})
    frame = frame_of(as_json(features(mixed())), columns, "none of them")
    # Seventeen digits do not all survive pandas' JSON; those that a client sends do.
    pd.testing.assert_frame_equal(frame, dataset.to_pandas_dataframe(), rtol=1e-14)


def test_a_column_without_any_value_keeps_its_type(workspace: Workspace) -> None:
    dataset = registered(workspace, features(mixed()))
    columns = training_columns(dataset, "none of them", {})
    row = dict.fromkeys(dataset.columns)
    frame = frame_of([row], columns, "none of them")
    assert frame.isna().all(axis=None)
    assert [str(dtype) for dtype in frame.dtypes] == [
        *["float64"] * 4,
        *["object"] * 3,
        *["datetime64[ns]"] * 2,
        *["object"] * 3,
    ]


def test_the_label_is_no_column_of_a_row(workspace: Workspace) -> None:
    columns = training_columns(registered(workspace, mixed()), "quantity", {"job": ["student"]})
    assert "quantity" not in [column.name for column in columns]
    assert RowColumn("job", "string", ["student"]) in columns


def test_the_example_has_the_most_frequent_values_and_no_text_of_a_row(workspace: Workspace) -> None:
    days = pd.to_datetime(["2024-01-01 03:04:05", "2024-01-02 03:04:05", "2024-01-02 03:04:05"])
    names = {"name": ["Ada", "Bob", "Cyd"], "zip": ["01", "02", None], "job": ["b", "a", "b"]}
    frame = pd.DataFrame({"age": [None, 7, 7], "since": days, **names, "y": "yes"})
    dataset = registered(workspace, frame.astype({"age": "Int64"}))
    columns = training_columns(dataset, "y", {"job": ["a", "b"]})
    example = example_row(dataset, columns)
    assert example == {"age": 7, "since": "2024-01-02T03:04:05Z", "name": "text", "zip": "0", "job": "b"}
    assert frame_of([example], columns, "y").loc[0].to_dict() == example | {"since": days[1]}


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ({"age": 30.0}, 30),
        ({"age": -(2**63)}, -(2**63)),
        ({"amount": 7}, 7.0),
        ({"job": ""}, ""),
        ({"job": "pilot 🛩"}, "pilot 🛩"),
        ({"since": "2024-02-29T23:30:00-01:00"}, pd.Timestamp("2024-03-01 00:30")),
        ({"since": "2024-02-29T23:30:00.123456"}, pd.Timestamp("2024-02-29 23:30:00.123456")),
        ({"since": "9999-12-31"}, pd.NaT),  # beyond what pandas holds, as in training
    ],
)
def test_values_that_fit(change: dict[str, Any], read: object) -> None:
    (name,) = change
    (value,) = frame_of([ROW | change], COLUMNS, "y")[name]
    assert value is read or value == read


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([ROW, ROW | {"age": "thirty"}], r"""data\[1\] has "thirty" in column 'age', which holds whole numbers"""),
        ([ROW | {"age": 30.5}], r"data\[0\] has 30.5 in column 'age', which holds whole numbers"),
        ([ROW | {"age": True}], "has true in column 'age'"),
        ([ROW | {"age": 2**63}], "has 9223372036854775808 in column 'age'"),
        ([ROW | {"amount": "1.5"}], "has \"1.5\" in column 'amount', which holds numbers"),
        ([ROW | {"amount": 10**400}], r"has 1000+… in column 'amount'"),
        ([ROW | {"amount": float("inf")}], "has Infinity in column 'amount'"),
        ([ROW | {"amount": float("nan")}], "has NaN in column 'amount'"),
        ([ROW | {"amount": [1]}], r"has \[1\] in column 'amount'"),
        ([ROW | {"member": "true"}], "has \"true\" in column 'member', which holds true or false"),
        ([ROW | {"member": 1}], "has 1 in column 'member'"),
        ([ROW | {"job": 5}], "has 5 in column 'job', which holds texts"),
        ([ROW | {"job": "\ud800"}], r"has \"\\ud800\" in column 'job'"),
        ([ROW | {"job": {"a": 1}}], r"has {\"a\": 1} in column 'job'"),
        ([ROW | {"since": "yesterday"}], "has \"yesterday\" in column 'since', which holds dates and times"),
        ([ROW | {"since": 20240229}], "has 20240229 in column 'since'"),
        ([ROW | {"since": "0001-01-01T00:00:00+01:00"}], "in column 'since'"),
        ([{"age": 30}], r"data\[0\] lacks the column 'amount'; data\[0\] lacks the column 'member'"),
        ([ROW | {"jobs": 1}], r"data\[0\] has the unknown column \"jobs\" \(did you mean 'job'\?\)"),
        ([ROW | {"zzz": 1}], r"unknown column \"zzz\"\."),
        ([ROW | {"z" * 10**6: 1}], r"unknown column \"z+…\."),
        ([ROW | {"y": "yes"}], r"data\[0\] has \"y\", which is what is predicted"),
        ([ROW, [1, 2]], r"data\[1\] is \[1, 2\] and no object"),
        ([ROW, "abc"], r"data\[1\] is \"abc\" and no object"),
        ([ROW, None], r"data\[1\] is null and no object"),
        ([], "no list of rows"),
        ({"age": 30}, "no list of rows"),
        (None, "no list of rows"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows: Any, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        frame_of(rows, COLUMNS, "y")


def test_five_problems_are_named_and_long_values_are_cut() -> None:
    with pytest.raises(DataError) as caught:
        frame_of([ROW | {"age": "x" * 1000}] * 7, COLUMNS, "y")
    assert caught.value.problem.count("column 'age'") == 5
    assert caught.value.problem.endswith("; and more.")
    assert len(caught.value.problem) < 1000


def test_the_json_schema_of_a_column_allows_what_is_read() -> None:
    schema = {column.name: column.json_schema for column in COLUMNS}
    assert schema["job"] == {"type": ["string", "null"], "examples": ["admin.", "student"]}
    whole = {"type": "object", "properties": schema}
    for row in (ROW, dict.fromkeys(ROW)):
        jsonschema.validate(row, whole)
    for change in ({"age": 30.5}, {"age": 2**63}, {"amount": "1.5"}, {"member": 1}, {"job": 5}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(ROW | change, whole)
