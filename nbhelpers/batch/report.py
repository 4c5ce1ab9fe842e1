"""The page of a batch: the verdict first, then what its notebooks show, then what ran."""

from __future__ import annotations

import ast
import base64
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from nbhelpers.batch import notebook
from nbhelpers.batch.model_card import CARD
from nbhelpers.batch.parameters import looks_secret
from nbhelpers.batch.record import Record, Stage

#: The stage whose outputs `metrics` (a dict of numbers) are those of the best model on the test data.
TEST_STAGE = "05_test"

_IMAGES = ("image/png", "image/jpeg", "image/svg+xml")
# fmt: off
_TAGS = {
    "b", "blockquote", "br", "caption", "code", "dd", "details", "div", "dl", "dt", "em", "figcaption",
    "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "li", "ol", "p", "pre", "section", "small",
    "span", "strong", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
}
# fmt: on
_ATTRIBUTES = {"class", "colspan", "rowspan", "style", "title", "alt", "width", "height"}
#: User and password of a URL, and its query, which in a signed URL is as good as a password; & is &amp; on the page.
_URL = re.compile(r"(?<=://)([^\s/<>\"&@]+@)?([^\s<>\"&?]*)(\?(?:&amp;|[^\s<>\"&])*)?")
_NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(e[-+]?\d+)?%?|nan|inf", re.IGNORECASE)
_NOT_SHOWN = re.compile(r"<(script|style)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)


def write_report(record: Record, resume: str = "") -> Path:
    """Write ``index.html`` into the folder of a batch; it needs no other file and no network.

    Parameters
    ----------
    record : Record
        The batch; the cells tagged `report` of its executed notebooks are shown.
    resume : str, optional
        The command that goes on with a batch that has not finished.

    Returns
    -------
    Path
        The page.
    """
    from jinja2 import Environment, FileSystemLoader

    from nbhelpers.metrics import number_text

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"moment": _moment, "parameter": _parameter, "number": number_text}
    metrics = test_metrics(record)
    primary = record.output("primary_metric")
    page = environment.get_template("report.html").render(
        record=record,
        resume=resume,
        best_model=record.output("best_model") or record.output("best_algorithm"),
        primary=primary,
        validation=record.output("best_score"),
        facts=_facts(record),
        metrics=dict(sorted(metrics.items(), key=lambda metric: metric[0] != primary)),
        card=CARD if (record.folder / CARD).is_file() else "",
        sections=[section for stage in record.stages if (section := _section(record.folder, stage))],
    )
    path = record.folder / "index.html"
    record.write(path.name, _URL.sub(_without_secrets, page))
    return path


def test_metrics(record: Record) -> dict[str, float]:
    """The numbers that the test stage recorded as `metrics`; empty where it did not run."""
    outputs = next((stage.outputs for stage in record.stages if stage.name == TEST_STAGE), {})
    metrics = outputs.get("metrics")
    if not isinstance(metrics, dict):
        return {}
    return {name: value for name, value in metrics.items() if isinstance(value, int | float)}


def _facts(record: Record) -> dict[str, Any]:
    """What the verdict is about, as far as the stages have recorded it."""

    def rows(dataset: str, number: str) -> str:
        name, count = record.output(dataset), record.output(number)
        return ", ".join(filter(None, (name, f"{count:,} rows" if isinstance(count, int) else "")))

    label, task, children = map(record.output, ("label", "task", "iterations"))
    facts = {
        "Label": f"{label} ({task})" if task else label,
        "Training data": rows("dataset_name", "rows"),
        "Test data": rows("test_dataset", "test_rows"),
        "Child runs": children,
    }
    return {name: fact for name, fact in facts.items() if fact}


def _moment(time: str) -> str:
    """A time of the record for readers."""
    return f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M:%S} UTC"


def _without_secrets(url: re.Match[str]) -> str:
    return ("…@" if url[1] else "") + url[2] + ("?…" if url[3] else "")


def _parameter(value: object, name: str) -> str:
    """The value of a parameter; a batch takes no secrets, but a record may come from elsewhere."""
    return "(not shown)" if looks_secret(name) else json.dumps(value, ensure_ascii=False)


def _section(folder: Path, stage: Stage) -> dict[str, Any] | None:
    """What the report shows of one executed notebook: its title and the outputs of its cells tagged `report`.

    Above an output stands what the notebook says right before the cell.
    """
    if not stage.notebook or not (folder / stage.notebook).is_file():
        return None
    title = heading = said = prose = ""
    shown: list[dict[str, Any]] = []
    for cell in notebook.read_cells(folder / stage.notebook):
        source = notebook.text(cell["source"])
        if cell["cell_type"] == "markdown":
            lines = source.splitlines()
            title = title or next((line[2:] for line in lines if line.startswith("# ")), "")
            heading = next((line[3:] for line in reversed(lines) if line.startswith("## ")), heading)
            prose = source.strip().rpartition("\n\n")[2]
            continue
        if "report" in notebook.tags(cell):
            for output in cell.get("outputs", []):
                if content := _shown(output, heading or title, _last_statement(source)):
                    shown.append({"heading": heading if heading != said else "", "prose": _prose(prose), **content})
                    said, prose = heading, ""
        prose = ""
    return {"id": stage.name, "title": title or stage.name, "outputs": shown} if shown else None


def _prose(source: str) -> Markup:
    """A paragraph of Markdown; empty for what is none, such as a heading, a table or a quotation."""
    return Markup() if source.startswith(("#", "|", ">")) else _clean(_from_markdown(source))


def _from_markdown(source: str) -> str:
    from nbconvert.filters import markdown2html

    return str(markdown2html(source))


def _last_statement(source: str) -> str:
    """The statement that a cell's output mostly comes from, on one line; empty where the cell is no plain Python."""
    try:
        statement = ast.unparse(ast.parse(source).body[-1])
    except (SyntaxError, ValueError, IndexError):
        return ""
    return statement if len(statement) <= 80 else f"{statement[:79]}…"


def _shown(output: dict[str, Any], heading: str, made_by: str) -> dict[str, Any] | None:
    """An output as safe HTML, the richest of its forms that a page with no scripts can show, and what to call it.

    What may be wider than the page has a label for the box in which it scrolls; text has none.
    """
    if output["output_type"] == "stream":
        return {"html": Markup("<pre>{}</pre>").format(notebook.text(output["text"]))}
    data = output.get("data", {})
    if "text/html" in data:
        source = notebook.text(data["text/html"])
    elif kind := next(filter(data.__contains__, _IMAGES), ""):
        content = notebook.text(data[kind])
        if kind == "image/svg+xml":
            content = base64.b64encode(content.encode()).decode()
        source = f'<img src="data:{kind};base64,{"".join(content.split())}">'
    elif "text/markdown" in data:
        source = _from_markdown(notebook.text(data["text/markdown"]))
    elif "text/plain" in data:
        return {"html": Markup("<pre>{}</pre>").format(notebook.text(data["text/plain"]))}
    else:
        return None
    label = f"{heading}: {made_by}" if made_by else heading
    html = _clean(source, label, made_by)
    if made_by and "<img" in html and "<table" not in html:
        figure = Markup("<figure><figcaption><code>{}</code></figcaption>{}</figure>")
        html = figure.format(made_by, html)
    return {"label": label, "html": html}


def _clean(source: str, label: str = "", caption: str = "") -> Markup:
    """Keep tables, text and embedded images of a notebook's HTML: no scripts, no style sheets, nothing fetched.

    A picture without a text of its own gets `label` for one, and a table `caption`.
    """
    from bleach.css_sanitizer import CSSSanitizer  # type: ignore[import-untyped]
    from bleach.sanitizer import Cleaner  # type: ignore[import-untyped]

    def allowed(tag: str, name: str, value: str) -> bool:
        if name == "src":
            return tag == "img" and value.startswith("data:image/")
        return name in _ATTRIBUTES

    cleaner = Cleaner(
        tags=_TAGS,
        attributes=allowed,
        protocols={"data"},
        css_sanitizer=CSSSanitizer(),
        strip=True,
        filters=[_align_numbers, partial(_describe, label=label, caption=caption)],
    )
    return Markup(cleaner.clean(_NOT_SHOWN.sub("", source)))  # noqa: S704 - cleaned


def _align_numbers(source: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give the cells of a table's columns that hold only numbers the class `number`, as a filter of html5lib's tokens.

    A cell that spans others makes those after it count one column less; then they may stand at the other side.
    """
    tokens = list(source)
    columns = defaultdict(list)
    table = column = 0
    for token, after in zip(tokens, [*tokens[1:], {}], strict=True):
        if token["type"] != "StartTag":
            continue
        if token["name"] == "table":
            table += 1
        elif token["name"] == "tr":
            column = 0
        elif token["name"] in ("td", "th"):
            columns[table, column].append((token, after["data"] if after["type"] == "Characters" else ""))
            column += 1
    for cells in columns.values():
        texts = [text for cell, text in cells if cell["name"] == "td" and text]
        if texts and all(map(_NUMBER.fullmatch, texts)):
            for cell, _ in cells:
                cell["data"][None, "class"] = "number"
    return iter(tokens)


def _describe(source: Iterable[dict[str, Any]], label: str, caption: str) -> Iterator[dict[str, Any]]:
    """Give pictures and tables what screen readers go by, as a filter of html5lib's tokens.

    A picture gets a text, a table a caption, each of its heads a scope. A head without text is an ordinary cell, and a
    heading a paragraph: the page has headings of its own.
    """
    tokens = list(source)
    if any(token.get("name") == "caption" for token in tokens):
        caption = ""
    scope = "row"
    for token, after in zip(tokens, [*tokens[1:], {}], strict=True):
        name, starts = token.get("name"), token["type"] == "StartTag"
        if name == "img":
            token["data"].setdefault((None, "alt"), label)
        elif name == "thead":
            scope = "col" if starts else "row"
        elif name == "th" and starts and after.get("name") == "th":
            token["name"] = after["name"] = "td"
        elif name == "th" and starts:
            token["data"][None, "scope"] = scope
        elif re.fullmatch("h[1-6]", name or ""):
            token["name"] = "p"
        yield token
        if name == "table" and starts and caption:
            tags = [{"name": tag, "namespace": token["namespace"], "data": {}} for tag in ("caption", "code")]
            yield from ({"type": "StartTag", **tag} for tag in tags)
            yield {"type": "Characters", "data": caption}
            yield from ({"type": "EndTag", **tag} for tag in reversed(tags))
