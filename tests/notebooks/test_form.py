"""The notebooks have the form that a reader, papermill and nbval rely on."""

from __future__ import annotations

import ast
import html
import re
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from nbhelpers.batch import read_parameters

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
#: What only cells whose outputs nobody compares may show: ids, links, paths, addresses, clock times.
VOLATILE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}|https?://|(?<![\w.])/(?:home|root|tmp|work|Users|usr)\b|0x[0-9a-f]{6,}|\d\d:\d\d:\d\d"
)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> NotebookNode:
    return nbformat.read(request.param, as_version=4)


def tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell: NotebookNode) -> str:
    """All that a cell shows as text."""
    shown = []
    for output in cell.outputs:
        shown.append(output.get("text", ""))
        shown += [value for kind, value in output.get("data", {}).items() if kind.startswith("text/")]
    return "\n".join(shown)


def test_there_are_the_chain_and_the_notebook_beside_it() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "00_workspace",
        "01_compute",
        "02_data",
        "03_train",
        "04_examine",
        "05_test",
        "06_publish",
        "07_consume",
        "08_score",
    ]


def test_opens_with_title_purpose_and_needs(notebook: NotebookNode, request: pytest.FixtureRequest) -> None:
    number = int(request.node.callspec.params["notebook"].stem[:2])
    title, purpose = notebook.cells[0].source.split("\n\n")
    assert re.fullmatch(rf"# {number} · [^\n]+", title)
    assert purpose.endswith(".")
    assert notebook.cells[1].source.startswith("## In this notebook you will\n")
    assert "| needs | makes |" in notebook.cells[1].source


def test_has_one_typed_and_explained_parameters_cell_first(
    notebook: NotebookNode, request: pytest.FixtureRequest
) -> None:
    assert [cell for cell in code_cells(notebook) if "parameters" in tags(cell)] == code_cells(notebook)[:1]
    parameters = read_parameters(request.node.callspec.params["notebook"])
    assert [parameter.name for parameter in parameters][:2] == ["backend", "experiment_name"]
    assert all(parameter.comment for parameter in parameters)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_alone_on_the_latest_of_what_it_needs(path: Path) -> None:
    ids = [parameter for parameter in read_parameters(path) if parameter.name.endswith("_id")]
    assert all(parameter.default == "latest" for parameter in ids)


def test_every_parameter_of_its_own_is_used(notebook: NotebookNode, request: pytest.FixtureRequest) -> None:
    own = read_parameters(request.node.callspec.params["notebook"])[2:]  # all notebooks have the first two
    trees = [ast.parse(cell.source) for cell in code_cells(notebook)[1:]]
    used = {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert {parameter.name for parameter in own} <= used


def test_imports_stand_in_one_cell_after_the_parameters(notebook: NotebookNode) -> None:
    importing = [
        position
        for position, cell in enumerate(code_cells(notebook))
        if any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(ast.parse(cell.source)))
    ]
    assert importing == [1]


def test_code_cells_are_short_and_neither_install_nor_exit(notebook: NotebookNode) -> None:
    assert all(len(cell.source.splitlines()) <= 15 for cell in code_cells(notebook))
    assert not re.search(r"^[%!]|pip install|sys\.exit", "\n".join(cell.source for cell in code_cells(notebook)), re.M)


def test_no_line_relies_on_a_semicolon_to_hide_its_output(notebook: NotebookNode) -> None:
    """Jupyter hides the value of such a line, nbval does not."""
    assert not [line for cell in code_cells(notebook) for line in cell.source.splitlines() if line.endswith(";")]


def test_every_code_cell_is_led_by_prose(notebook: NotebookNode) -> None:
    imports, connect = code_cells(notebook)[1:3]  # two cells under one heading
    for before, cell in pairwise(notebook.cells):
        if cell.cell_type == "code" and (before, cell) != (imports, connect):
            assert before.cell_type == "markdown", cell.source


def test_everything_shown_has_a_sentence_that_reads_it(notebook: NotebookNode) -> None:
    for cell, following in pairwise(notebook.cells):
        if cell.get("outputs"):
            assert following.cell_type == "markdown", cell.source
            assert not following.source.startswith("#"), cell.source


def test_headings_are_of_two_levels_and_say_different_things(notebook: NotebookNode) -> None:
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    headings = re.findall(r"^#+ .+", prose, re.M)
    assert [heading for heading in headings if not heading.startswith("## ")] == headings[:1]
    assert len(set(headings)) == len(headings)


def test_links_lead_to_notebooks_of_the_chain_and_to_the_next_one(notebook: NotebookNode) -> None:
    names = [path.name for path in NOTEBOOKS]
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert set(re.findall(r"\]\(([^)]+)\)", prose)) <= set(names)
    place = int(notebook.cells[0].source[2])
    for name in names[place + 1 : place + 2]:
        assert notebook.cells[-2].source.endswith(f"Next: [{name}]({name}).")


def test_every_picture_says_in_words_what_it_shows(notebook: NotebookNode) -> None:
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                words = html.escape(output.data["text/plain"])
                assert words.endswith("."), cell.source
                assert f'<img alt="{words}"' in output.data["text/html"], cell.source


def test_says_what_the_stage_is_on_azure(notebook: NotebookNode) -> None:
    text = notebook.cells[-2].source
    box = re.search(r"^> \*\*The same on Azure\*\*\n((?:>.*\n)+)\n## What you have now\n", text, re.M)
    assert box
    assert 2 <= box[1].count("> - ") <= 4
    assert "`" in box[1]  # the SDK's names


def test_ends_with_what_you_have_now(notebook: NotebookNode) -> None:
    assert notebook.cells[-2].source.startswith("## What you have now\n") or "\n## What you have now\n" in (
        notebook.cells[-2].source
    )
    assert notebook.cells[-1].source.startswith("nbhelpers.record_outputs(")


def test_is_committed_executed_in_order_and_without_errors(notebook: NotebookNode) -> None:
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.get("name", output.output_type) for cell in cells for output in cell.outputs}
    assert kinds <= {"stdout", "display_data", "execute_result"}


def test_has_no_traces_of_execution_in_its_metadata(notebook: NotebookNode) -> None:
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)


def test_at_least_three_cells_are_compared(notebook: NotebookNode) -> None:
    compared = [cell for cell in code_cells(notebook) if "nbval-check-output" in tags(cell)]
    assert len(compared) >= 3
    assert all(cell.outputs for cell in compared)


def test_only_ignored_outputs_show_ids_paths_or_times(notebook: NotebookNode) -> None:
    for cell in code_cells(notebook):
        if "nbval-ignore-output" not in tags(cell):
            assert not VOLATILE.search(texts(cell)), cell.source


def test_no_output_names_a_folder_of_the_machine(notebook: NotebookNode) -> None:
    for cell in code_cells(notebook):
        assert not re.search(r"/(?:home|root|tmp|work|Users|usr)/", texts(cell)), cell.source
