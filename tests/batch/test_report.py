from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from nbhelpers.batch import Record, Stage, run_batch
from nbhelpers.batch.report import write_report
from nbhelpers.errors import StageError

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


MAIN = '<main id="main">'


class Page(HTMLParser):
    """Collects the tags of a page and what it would load."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.all: list[tuple[str, dict[str, str]]] = []
        self.feed(source)

    def find(self, *tags: str) -> list[dict[str, str]]:
        """The attributes of all elements of these tags, in their order."""
        return [attributes for tag, attributes in self.all if tag in tags]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.all.append((tag, {name: value or "" for name, value in attrs}))
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


def write_notebook(folder: Path, *outputs: dict[str, object], prose: str = "", source: str = "") -> Record:
    """A batch of one notebook: a cell of prose, and a cell tagged `report`."""
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": prose},
        {"cell_type": "code", "metadata": {"tags": ["report"]}, "source": source, "outputs": list(outputs)},
    ]
    (folder / "00_a.ipynb").write_text(json.dumps({"cells": cells}))
    return Record(folder, "finished", stages=[Stage("00_a", "finished", notebook="00_a.ipynb")])


def test_page_loads_nothing_and_runs_nothing(report: str) -> None:
    page = Page(report)
    assert page.loaded
    assert all(source.startswith("data:image/png;base64,") for source in page.loaded)
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base"})
    assert page.handlers == []
    assert not re.search(r"url\(|@import", report)


def test_page_forbids_the_browser_to_load_anything(report: str) -> None:
    (policy,) = (meta["content"] for meta in Page(report).find("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")


def test_verdict_comes_before_everything_else(report: str) -> None:
    main = report[report.index(MAIN) :]
    assert (
        main.index("VotingEnsemble") < main.index("AUC_weighted</dt><dd>0.9512") < main.index("What the middle shows")
    )
    assert main.index("What the middle shows") < main.index('<h2 id="what-ran">')
    assert "Finished" in report[: report.index(MAIN)]


def test_verdict_tells_the_primary_metric_and_metrics_begin_with_it(tmp_path: Path) -> None:
    metrics = {"accuracy": 0.9, "log_loss": 0.1}
    stages = [
        Stage("03_train", "finished", outputs={"primary_metric": "log_loss", "best_score": 0.25}),
        Stage("05_test", "finished", outputs={"best_model": "LightGBM", "metrics": metrics}),
    ]
    page = write_report(Record(tmp_path, "finished", stages=stages)).read_text()
    assert "<strong>LightGBM</strong>: log_loss <strong>0.1000</strong> on the test data, 0.2500 in validation" in page
    assert re.findall(r"<dt>(\w+)", page) == ["log_loss", "accuracy"]


def test_verdict_without_a_test_is_that_of_validation_and_says_so(tmp_path: Path) -> None:
    found = {"best_algorithm": "LightGBM", "primary_metric": "AUC_weighted", "best_score": 0.9}
    stages = [Stage("03_train", "finished", outputs=found), Stage("05_test", "failed")]
    page = write_report(Record(tmp_path, "failed", stages=stages)).read_text()
    assert "<strong>LightGBM</strong>: AUC_weighted <strong>0.9000</strong> in validation" in page
    assert "It was not tested." in page
    assert "on the test data" not in page


@pytest.mark.parametrize(
    ("outputs", "facts"),
    [
        ({"label": "y", "task": "regression"}, [("Label", "y (regression)")]),
        ({"dataset_name": "bank:1", "rows": 1234}, [("Training data", "bank:1, 1,234 rows")]),
        ({"test_dataset": "bank-test:2"}, [("Test data", "bank-test:2")]),
        ({"test_rows": 50, "iterations": 8}, [("Test data", "50 rows"), ("Child runs", "8")]),
    ],
)
def test_verdict_tells_what_it_is_about_as_far_as_that_is_known(
    tmp_path: Path, outputs: dict[str, object], facts: list[tuple[str, str]]
) -> None:
    page = write_report(
        Record(tmp_path, "finished", stages=[Stage("02_data", "finished", outputs=outputs)])
    ).read_text()
    assert re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page) == facts


def test_outputs_of_report_cells_are_shown_and_no_others(report: str) -> None:
    page = report[report.index('<h2 id="01_middle">') :]
    assert "<td>&lt;b&gt;bold&lt;/b&gt;</td>" in page
    assert "<p>kept</p>" in page
    assert "<em>emphasis</em>" in page
    assert "<pre>a &lt; b\n</pre>" in page
    assert "not in the report" not in page
    assert "vertical-align" not in page  # the style sheet that pandas puts before a table


def test_stages_are_listed_with_parameters_and_relative_links(report: str) -> None:
    links = ["#main", "#01_middle", "#what-ran", "00_start.ipynb", "01_middle.ipynb", "05_test.ipynb"]
    assert Page(report).links == links
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
    assert set(page.links) <= {"#main", "#00_a", "#what-ran", "00_a.ipynb"}
    assert page.tags.isdisjoint({"script", "iframe", "form", "svg"})


def test_styles_that_only_look_are_kept(tmp_path: Path) -> None:
    html = '<table><tr><td style="color: red; text-align: right">1</td></tr></table>'
    record = write_notebook(tmp_path, {"output_type": "display_data", "data": {"text/html": html}})
    assert "color: red; text-align: right" in write_report(record).read_text()


def test_picture_becomes_part_of_the_page_and_says_what_it_shows(tmp_path: Path) -> None:
    output = {"output_type": "display_data", "data": {"image/png": PIXEL + "\n", "text/plain": "<Figure size 1>"}}
    record = write_notebook(tmp_path, output, prose='# A\n\n## How "good"?', source="x = 1\nplot(\n    x,  # it\n)")
    page = write_report(record).read_text()
    (image,) = Page(page).find("img")
    assert image == {"src": f"data:image/png;base64,{PIXEL}", "alt": 'How "good"?: plot(x)'}
    assert "<figure><figcaption><code>plot(x)</code></figcaption><img" in page


def test_picture_keeps_its_own_text_and_gets_a_caption(tmp_path: Path) -> None:
    html = f'<img alt="A bar for each class" src="data:image/png;base64,{PIXEL}">'
    output = {"output_type": "execute_result", "data": {"text/html": html, "image/png": PIXEL}}
    page = write_report(write_notebook(tmp_path, output, prose="# A", source="plot(x)")).read_text()
    assert [image["alt"] for image in Page(page).find("img")] == ["A bar for each class"]
    assert "<figcaption><code>plot(x)</code></figcaption>" in page


def test_output_is_introduced_by_what_the_notebook_says_right_before_it(tmp_path: Path) -> None:
    output = {"output_type": "stream", "text": "printed"}
    prose = "Said of the cell before.\n\n## Scores\n\nOne <script>dot</script> for *each* [run](https://example.org)."
    page = write_report(write_notebook(tmp_path, output, output, prose=prose)).read_text()
    assert page.count("for <em>each</em> run.") == 1
    assert "Said of the cell before" not in page
    assert "https://example.org" not in page


@pytest.mark.parametrize("prose", ["# A", "# A\n\n| a |\n|---|", "# A\n\n> quoted"])
def test_only_a_paragraph_introduces_an_output(tmp_path: Path, prose: str) -> None:
    page = write_report(write_notebook(tmp_path, {"output_type": "stream", "text": "printed"}, prose=prose)).read_text()
    assert '<div class="prose">' not in page


TABLE = """<table><thead><tr><th></th><th>name</th></tr></thead><tbody><tr><th>0</th><td>a</td></tr></tbody></table>"""


def test_tables_have_caption_and_scopes_and_scroll_in_a_labelled_box(tmp_path: Path) -> None:
    output = {"output_type": "execute_result", "data": {"text/html": TABLE}}
    record = write_notebook(tmp_path, output, prose="# A\n## Rows <b>", source="show('<b>')")
    page = write_report(record).read_text()
    assert "<table><caption><code>show('&lt;b&gt;')</code></caption><thead>" in page
    assert '<tr><td></td><th scope="col">name</th></tr>' in page
    assert '<tr><th scope="row">0</th><td>a</td></tr>' in page
    boxes = [box for box in Page(page).find("div") if box.get("class") == "wide"]
    assert [box["aria-label"] for box in boxes] == ["Rows <b>: show('<b>')", "Stages of the batch"]
    assert all(box["tabindex"] == "0" for box in boxes)


def test_columns_of_numbers_are_aligned_with_their_heads(tmp_path: Path) -> None:
    frame = pd.DataFrame({"name": ["a", "2"], "score": [-0.5, None], "rows": ["1,234", "1e-07"]})
    outputs = ({"output_type": "execute_result", "data": {"text/html": table}} for table in (TABLE, frame.to_html()))
    page = Page(write_report(write_notebook(tmp_path, *outputs)).read_text().partition("What ran</h2>")[0])
    assert [cell.get("class") for cell in page.find("td", "th")] == [*[None] * 4, *[None, None, "number", "number"] * 3]


def test_a_table_keeps_its_own_caption(tmp_path: Path) -> None:
    html = "<table><caption>mine</caption><tr><td>1</td></tr></table>"
    record = write_notebook(tmp_path, {"output_type": "display_data", "data": {"text/html": html}}, source="show()")
    page = write_report(record).read_text()
    assert "<caption>mine</caption>" in page
    assert "show()</code>" not in page


def test_a_long_statement_is_cut_in_captions(tmp_path: Path) -> None:
    output = {"output_type": "execute_result", "data": {"text/html": TABLE}}
    record = write_notebook(tmp_path, output, source=f"show('{100 * 'x'}')")
    assert f"<code>show('{73 * 'x'}…</code>" in write_report(record).read_text()


def test_page_has_landmarks_and_headings_in_order(tmp_path: Path) -> None:
    output = {"output_type": "display_data", "data": {"text/html": "<h1>own</h1><h5>headings</h5>", "text/plain": ""}}
    record = write_notebook(tmp_path, output, output, prose="# Title\n## Part")
    page = Page(write_report(record).read_text())
    assert {"header", "nav", "main"} <= page.tags
    levels = [int(tag[1]) for tag, _ in page.all if re.fullmatch("h[1-6]", tag)]
    assert levels == [1, 2, 2, 3, 2]  # batch, verdict, title, part (once), what ran
    ids = [attributes["id"] for _, attributes in page.all if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(ids)


def test_page_shows_no_secret(tmp_path: Path) -> None:
    url = "https://me:pa55@example.org/rows.csv?sv=1&sig=5ecret"
    stage = Stage("00_a", "failed", parameters={"data": url, "api_key": "5ecret", "key_name": "MY_KEY"})
    stage.error = {"kind": "error", "message": f"HTTPError: {url!r} is gone", "cell": 1, "source": f'read("{url}")'}
    page = write_report(Record(tmp_path, "failed", stages=[stage])).read_text()
    assert "5ecret" not in page
    assert "pa55" not in page
    assert "data = &#34;https://…@example.org/rows.csv?…&#34;" in page
    assert "key_name = &#34;MY_KEY&#34;" in page


def test_page_is_split_on_paper_between_its_parts_and_is_light_there(report: str) -> None:
    parts = report.split('<div class="part">')[1:]
    assert len(parts) > 1
    assert all(part.count('<div class="wide"') <= 1 for part in parts)
    dark = re.findall(r"@media ([^{]*dark[^{]*)", report)
    assert dark
    assert all(rule.startswith("screen and") for rule in dark)


def test_failed_batch_begins_with_what_failed_and_how_to_go_on(tmp_path: Path, trouble: Path) -> None:
    with pytest.raises(StageError) as caught:
        run_batch({"how": "error"}, tmp_path / "batch", notebooks=trouble, progress=lambda _record, _stage: None)
    page = (tmp_path / "batch" / "index.html").read_text()
    main = page[page.index(MAIN) :]
    command = caught.value.remedy.splitlines()[-1].strip()
    assert command.startswith("nbhelpers run --resume")
    assert main.index("01_trouble failed in cell 4") < main.index("ValueError: no such thing")
    assert main.index("ValueError: no such thing") < main.index(f"<pre>{command}</pre>") < main.index("Verdict")
    assert 'href="01_trouble.ipynb"' in main[: main.index("Verdict")]


def test_cancelled_batch_begins_with_what_was_cancelled(tmp_path: Path) -> None:
    stages = [Stage("00_a", "finished"), Stage("01_b", "cancelled", 3.0), Stage("02_c")]
    page = write_report(Record(tmp_path, "cancelled", stages=stages), "go 'on'").read_text()
    main = page[page.index(MAIN) :]
    assert main.index("01_b was cancelled</strong> after 3.0 s") < main.index("go &#39;on&#39;") < main.index("Verdict")


def test_finished_batch_has_nothing_to_go_on_with(report: str) -> None:
    assert "--resume" not in report
    assert "What stopped it" not in report


def test_batch_with_nothing_to_show_has_a_page(tmp_path: Path) -> None:
    page = write_report(Record(tmp_path, "cancelled", stages=[Stage("00_a"), Stage("01_b", "skipped")])).read_text()
    assert "Cancelled" in page
    assert "No best model was recorded, and no test metrics." in page
    assert re.findall(r'class="status \w+">(.*?)<', page) == ["Cancelled", "not run", "skipped"]


def test_metrics_of_other_stages_are_not_called_test_metrics(tmp_path: Path) -> None:
    stages = [Stage("04_examine", "finished", outputs={"metrics": {"AUC_weighted": 0.99}})]
    assert "AUC_weighted" not in write_report(Record(tmp_path, "finished", stages=stages)).read_text()
