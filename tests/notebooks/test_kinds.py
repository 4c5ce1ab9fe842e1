"""The whole chain on small tables of many kinds; what cannot work is refused before anything is trained."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest

from nbhelpers.batch import run_batch
from nbhelpers.batch.chain import find_notebooks
from nbhelpers.errors import NbhelpersError

Outputs = dict[str, list[str]]


@dataclass(frozen=True)
class Kind:
    """A table to run the chain on.

    Attributes
    ----------
    table : callable
        Makes the rows, or a list of training and test rows.
    label : str
    said : dict of str to list of str
        By notebook: what its outputs say.
    refused : str
        What the error says that ends 02_data; empty where the chain runs to its end.
    parameters : dict
        More parameters of the notebooks.
    """

    table: Callable[[], pd.DataFrame | list[pd.DataFrame]]
    label: str
    said: Outputs = field(default_factory=dict)
    refused: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


def groups(n_rows: int, n_classes: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows around a centre for each class, and the class of each row as a number."""
    rng = np.random.default_rng(0)
    classes = np.arange(n_rows) % n_classes
    values = rng.normal(size=(n_rows, 4)) + 3 * rng.normal(size=(n_classes, 4))[classes]
    return pd.DataFrame(values.round(3), columns=list("abcd")), classes


def many_classes_as_numbers() -> pd.DataFrame:
    frame, classes = groups(300, 26)
    return frame.assign(code=100 + 10 * classes)


def gaps_and_long_names() -> pd.DataFrame:
    """Labels of any letters, some missing; columns that are empty, nearly empty, constant, ids, times and texts."""
    frame, classes = groups(240, 3)
    rows = np.arange(240)
    frame = frame.mask(np.random.default_rng(1).random(frame.shape) < 0.3)
    names = np.array(["très long 😀 " * 8, "日本 $a$ <b>", "_no | yes"], dtype=object)
    return frame.assign(
        **{
            "empty": None,
            "nearly empty": np.where(rows == 7, 1.5, np.nan),
            "constant": "same",
            "id": [f"customer {k}" for k in rows],
            "a column with a very long name, " * 6: np.where(rows % 2, "größer", "kleiner"),
            "時刻": pd.date_range("2024-03-30", periods=240, freq="h", tz="Europe/Berlin").map(pd.Timestamp.isoformat),
            "remark": [f"row {k} is the one with number {k * k}" for k in rows],
            "état d'âme": np.where(rows % 8 == 5, None, names[classes]),
        }
    )


def unseen_categories() -> list[pd.DataFrame]:
    """A label of true and false; the test set has other towns, other columns and one class only."""
    frame, classes = groups(200, 2)
    train = frame.assign(town=np.where(np.arange(200) % 3, "Oslo", "Rome"), left=classes == 1)
    test = train[150:].assign(town="Bonn", more=1)
    return [train[:150], test[test["left"]]]


def class_only_in_the_test_set() -> list[pd.DataFrame]:
    frame, classes = groups(90, 3)
    frame = frame.assign(kind=np.array(["a", "b", "new"])[classes])
    return [frame[frame["kind"] != "new"], frame]


def tiny_quantities_with_an_outlier_and_a_copy() -> pd.DataFrame:
    frame = groups(240, 2)[0]
    charge = 3e-10 * frame.sum(axis=1)  # so no other column tells much of it
    charge[[17, 90]] = [3e-8, np.nan]
    return frame.assign(copy=1000 * charge, charge=charge)


KINDS = {
    "many classes as numbers": Kind(
        many_classes_as_numbers,
        "code",
        {
            "02_data": [
                "Task: classification of 'code'",
                "26 different values, taken as classes",
                "Label code, rows: 100",
            ],
            "05_test": ["Confusion matrix of 26 classes", "8 most frequent classes"],
        },
        parameters={"task": "classification"},
    ),
    "gaps and long names": Kind(
        gaps_and_long_names,
        "état d'âme",
        {
            "02_data": ["Task: classification", "24 of 192 rows have no label", "none: empty, nearly empty, constant."],
            "05_test": ["Confusion matrix of 3 classes", "6 of 48 rows have no label"],
        },
    ),
    "unseen categories": Kind(
        unseen_categories,
        "left",
        {
            "02_data": ["Task: classification of 'left'"],
            "05_test": [
                "Confusion matrix of 2 classes",
                "Only one class occurs: True",
                "All test rows are of class True",
            ],
        },
    ),
    "class only in the test set": Kind(
        class_only_in_the_test_set, "kind", refused="'kind' holds 'new' in 30 rows, which training never saw"
    ),
    "tiny quantities with an outlier and a copy in another unit": Kind(
        tiny_quantities_with_an_outlier_and_a_copy,
        "charge",
        {
            "02_data": [
                "Task: regression of 'charge'",
                "1 of 192 rows have no label",
                "1 of 191 rows lie far outside",
                "decide the label in every row: copy",
            ],
            "05_test": ["predicted against true values of 48 rows", "e-10", "copy carries"],
        },
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_chain_on(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = KINDS[name]
    monkeypatch.setenv("NBHELPERS_HOME", str(tmp_path / "home"))
    tables = kind.table()
    parameters = {"label": kind.label, "iterations": 2, "n_cross_validations": 2, **kind.parameters}
    for parameter, table in zip(("data", "test_data"), tables if isinstance(tables, list) else [tables], strict=False):
        parameters[parameter] = str(tmp_path / f"{parameter}.csv")
        table.to_csv(parameters[parameter], index=False)
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    for path in find_notebooks().values():
        if path.name[:2] in ("01", "02", "03", "04", "05"):  # the others have nothing to do with the table
            shutil.copy(path, notebooks)
    if kind.refused:
        with pytest.raises(NbhelpersError, match=re.escape(kind.refused)) as caught:
            run_batch(parameters, tmp_path / "out", notebooks=notebooks, only="02_data", progress=quiet)
        assert "02_data failed" in str(caught.value)
        return
    record = run_batch(parameters, tmp_path / "out", notebooks=notebooks, progress=quiet)
    assert record.status == "finished"
    for stage in record.stages:
        outputs = read_outputs(record.folder / stage.notebook)
        assert [output.text for output in outputs if output.get("name") == "stderr"] == []
        text = " ".join(" ".join(map(plain_text, outputs)).split())
        assert [words for words in kind.said.get(stage.name, []) if words not in text] == []


def quiet(*_: object) -> None:
    pass


def read_outputs(notebook: Path) -> list[Any]:
    cells = nbformat.read(notebook, as_version=4).cells
    return [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]


def plain_text(output: Any) -> str:
    """What an output says: printed text, or the text form of a value, which of a picture is its description."""
    return str(output.text if output.output_type == "stream" else output.data.get("text/plain", ""))
