from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbhelpers.batch import Record, Stage, run_batch
from nbhelpers.batch.model_card import write_model_card
from nbhelpers.batch.report import write_report


def write_notebook(folder: Path, name: str, *tags: str, text: str = "# Card") -> Stage:
    output = {"output_type": "execute_result", "data": {"text/markdown": [text], "text/plain": "..."}}
    cell = {"cell_type": "code", "metadata": {"tags": tags}, "source": "", "outputs": [output]}
    (folder / f"{name}.ipynb").write_text(json.dumps({"cells": [cell]}))
    return Stage(name, "finished", notebook=f"{name}.ipynb")


def test_card_is_what_the_tagged_cell_shows_and_the_page_links_it(tmp_path: Path) -> None:
    stages = [write_notebook(tmp_path, "00_a", text="# No card"), write_notebook(tmp_path, "05_test", "model-card")]
    record = Record(tmp_path, "finished", stages=stages)
    write_model_card(record)
    assert (tmp_path / "model_card.md").read_text() == "# Card"
    assert '<a href="model_card.md">' in write_report(record).read_text()


@pytest.mark.parametrize("status", ["waiting", "failed", "skipped"])
def test_card_of_a_model_that_is_no_longer_the_batchs_is_removed(tmp_path: Path, status: str) -> None:
    stage = write_notebook(tmp_path, "05_test", "model-card")
    record = Record(tmp_path, "failed", stages=[stage])
    write_model_card(record)
    stage.status = status
    write_model_card(record)
    assert not (tmp_path / "model_card.md").exists()
    assert "model_card.md" not in write_report(record).read_text()


def test_card_is_written_when_a_batch_ends(tmp_path: Path) -> None:
    sources = {"parameters": "x: int = 1", "model-card": "from IPython.display import Markdown\n\nMarkdown('# Card')"}
    cells = [
        {"cell_type": "code", "metadata": {"tags": [tag]}, "source": source, "outputs": [], "execution_count": None}
        for tag, source in sources.items()
    ]
    content = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}
    (tmp_path / "00_card.ipynb").write_text(json.dumps(content))
    record = run_batch(output=tmp_path / "batch", notebooks=tmp_path, progress=lambda _record, _stage: None)
    assert (record.folder / "model_card.md").read_text() == "# Card"
    assert "model_card.md" in (record.folder / "index.html").read_text()
