from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from IPython.utils.capture import capture_output

from nbhelpers.batch import read_outputs, record_outputs
from nbhelpers.batch.outputs import MEDIA_TYPE
from nbhelpers.errors import BatchError


@pytest.fixture
def shell() -> Any:
    from IPython.core.interactiveshell import InteractiveShell

    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def shown(**outputs: object) -> dict[str, Any]:
    with capture_output() as captured:
        record_outputs(**outputs)
    (output,) = captured.outputs
    return dict(output.data)


@pytest.mark.usefixtures("shell")
def test_values_are_shown_as_json_and_as_tables() -> None:
    data = shown(run_id="a<b", rows=np.int64(3), score=np.float32(0.5), ok=np.bool_(True), metrics={"auc": np.nan})
    expected = {"run_id": "a<b", "rows": 3, "score": 0.5, "ok": True, "metrics": {"auc": None}}
    assert data[MEDIA_TYPE] == expected
    assert json.loads(json.dumps(data[MEDIA_TYPE], allow_nan=False)) == expected
    assert "a&lt;b" in data["text/html"]
    assert "run_id   a<b" in data["text/plain"]


@pytest.mark.parametrize("value", [Path("a"), {1: 2}, {"a": [object()]}, np.array([1, 2]), {1, 2}, b"x"])
def test_value_that_json_cannot_hold_is_refused_by_name(value: object) -> None:
    with pytest.raises(BatchError, match=r"The output result.* cannot be stored as JSON"):
        record_outputs(result=value)


def test_output_that_looks_like_a_secret_is_refused() -> None:
    with pytest.raises(BatchError, match="'service_key' looks like a secret") as caught:
        record_outputs(service_key="hunter2")
    assert "hunter2" not in str(caught.value)


def test_output_that_is_a_url_with_a_secret_is_refused() -> None:
    with pytest.raises(BatchError, match="'data' looks like a secret") as caught:
        record_outputs(data="https://me:hunter2@host/x.csv")
    assert "hunter2" not in str(caught.value)


def test_outputs_of_several_cells_are_read_as_one(tmp_path: Path) -> None:
    def cell(**values: object) -> dict[str, object]:
        return {"cell_type": "code", "outputs": [{"output_type": "display_data", "data": {MEDIA_TYPE: values}}]}

    stream = {"cell_type": "code", "outputs": [{"output_type": "stream", "text": "x"}]}
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": [cell(a=1, b=1), stream, cell(b=2)]}))
    assert read_outputs(path) == {"a": 1, "b": 2}
