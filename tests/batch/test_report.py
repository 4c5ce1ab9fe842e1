from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nbhelpers.batch import Record, Stage
from nbhelpers.batch.report import write_report

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Page(HTMLParser):
    """Collects the tags of a page and what it would load."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name.startswith("on"):
                self.handlers.append(name)
            elif name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in ("src", "href", "srcset", "action", "data", "poster"):
                self.loaded.append(value or "")


@pytest.fixture(scope="module")
def report(finished: Record) -> str:
    return (finished.folder / "index.html").read_text()


def write_notebook(folder: Path, *outputs: dict[str, object]) -> Record:
    cell = {"cell_type": "code", "metadata": {"tags": ["report"]}, "source": "", "outputs": list(outputs)}
    (folder / "00_a.ipynb").write_text(json.dumps({"cells": [cell]}))
    return Record(folder, "finished", stages=[Stage("00_a", "finished", notebook="00_a.ipynb")])


def test_page_loads_nothing_and_runs_nothing(report: str) -> None:
    page = Page(report)
    assert page.loaded
    assert all(source.startswith("data:image/png;base64,") for source in page.loaded)
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base"})
    assert page.handlers == []
    assert not re.search(r"url\(|@import|https?:", report)


def test_verdict_comes_before_everything_else(report: str) -> None:
    assert report.index("VotingEnsemble") < report.index("What the middle shows") < report.index("What ran")
    verdict = report[: report.index("</header>")]
    assert "Finished" in verdict
    assert "AUC_weighted</dt><dd>0.9512" in verdict


def test_outputs_of_report_cells_are_shown_and_no_others(report: str) -> None:
    page = report[report.index("What the middle shows") :]
    assert "<td>&lt;b&gt;bold&lt;/b&gt;</td>" in page
    assert "<p>kept</p>" in page
    assert "<em>emphasis</em>" in page
    assert "<pre>a &lt; b\n</pre>" in page
    assert "not in the report" not in page
    assert "vertical-align" not in page  # the style sheet that pandas puts before a table


def test_stages_are_listed_with_parameters_and_relative_links(report: str) -> None:
    assert Page(report).links == ["00_start.ipynb", "01_middle.ipynb", "05_test.ipynb"]
    assert "<code>title = &#34;&lt;3&gt;&#34;</code>" in report


@pytest.mark.parametrize(
    "html",
    [
        '<img src="https://example.org/x.png">',
        '<img src="//example.org/x.png">',
        '<a href="https://example.org">x</a>',
        '<p style="background: url(https://example.org/x.png)">x</p>',
        "<style>@import 'https://example.org/x.css';</style>",
        '<svg><image href="https://example.org/x.png"></svg>',
        '<scr<script></script>ipt src="https://example.org/x.js"></script>',
        '<iframe src="https://example.org"></iframe>',
        '<form action="https://example.org"><input></form>',
        '<img src="data:image/png;base64,AAAA" onerror="fetch(\'https://example.org\')">',
    ],
)
def test_html_of_an_output_can_neither_load_nor_run_anything(tmp_path: Path, html: str) -> None:
    record = write_notebook(tmp_path, {"output_type": "display_data", "data": {"text/html": [html]}})
    page = Page(write_report(record).read_text())
    assert all(source.startswith("data:image/") for source in page.loaded)
    assert page.handlers == []
    assert page.links == ["00_a.ipynb"]
    assert page.tags.isdisjoint({"script", "iframe", "form", "svg"})


def test_styles_that_only_look_are_kept(tmp_path: Path) -> None:
    html = '<table><tr><td style="color: red; text-align: right">1</td></tr></table>'
    record = write_notebook(tmp_path, {"output_type": "display_data", "data": {"text/html": html}})
    assert "color: red; text-align: right" in write_report(record).read_text()


def test_picture_becomes_part_of_the_page(tmp_path: Path) -> None:
    data = {"image/png": PIXEL + "\n", "text/plain": '<Figure size "1">'}
    page = write_report(write_notebook(tmp_path, {"output_type": "display_data", "data": data})).read_text()
    assert f'<img src="data:image/png;base64,{PIXEL}" alt="&lt;Figure size &#34;1&#34;&gt;">' in page


def test_batch_with_nothing_to_show_has_a_page(tmp_path: Path) -> None:
    page = write_report(Record(tmp_path, "cancelled", stages=[Stage("00_a"), Stage("01_b", "skipped")])).read_text()
    assert "Cancelled" in page
    assert "No best model" in page
    assert "waiting" in page


def test_metrics_of_other_stages_are_not_called_test_metrics(tmp_path: Path) -> None:
    stages = [Stage("04_examine", "finished", outputs={"metrics": {"AUC_weighted": 0.99}})]
    assert "AUC_weighted" not in write_report(Record(tmp_path, "finished", stages=stages)).read_text()
