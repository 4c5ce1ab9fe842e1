"""The page of a batch: the verdict first, then what its notebooks show, then what ran."""

from __future__ import annotations

import base64
import html
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

from nbhelpers.batch import notebook
from nbhelpers.batch.record import Record, Stage

#: The stage whose outputs `metrics` (a dict of numbers) are those of the best model on the test data.
TEST_STAGE = "05_test"

_IMAGES = ("image/png", "image/jpeg", "image/svg+xml")
# fmt: off
_TAGS = {
    "a", "b", "blockquote", "br", "caption", "code", "dd", "details", "div", "dl", "dt", "em", "figcaption",
    "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "li", "ol", "p", "pre", "section", "small",
    "span", "strong", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
}
# fmt: on
_ATTRIBUTES = {"class", "colspan", "rowspan", "style", "title", "alt", "width", "height"}
_NOT_SHOWN = re.compile(r"<(script|style)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)


def write_report(record: Record) -> Path:
    """Write ``index.html`` into the folder of a batch; it needs no other file and no network.

    Parameters
    ----------
    record : Record
        The batch; the cells tagged `report` of its executed notebooks are shown.

    Returns
    -------
    Path
        The page.
    """
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
    environment.filters["json"] = partial(json.dumps, ensure_ascii=False)
    page = environment.get_template("report.html").render(
        record=record,
        best_model=record.output("best_model"),
        metrics=test_metrics(record),
        sections=[section for stage in record.stages if (section := _section(record.folder, stage))],
    )
    path = record.folder / "index.html"
    temporary = record.folder / ".index.html.new"
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(path)
    return path


def test_metrics(record: Record) -> dict[str, float]:
    """The numbers that the test stage recorded as `metrics`; empty where it did not run."""
    outputs = next((stage.outputs for stage in record.stages if stage.name == TEST_STAGE), {})
    metrics = outputs.get("metrics")
    if not isinstance(metrics, dict):
        return {}
    return {name: value for name, value in metrics.items() if isinstance(value, int | float)}


def _section(folder: Path, stage: Stage) -> dict[str, Any] | None:
    """What the report shows of one executed notebook: its title and the outputs of its cells tagged `report`."""
    if not stage.notebook or not (folder / stage.notebook).is_file():
        return None
    cells = notebook.read_cells(folder / stage.notebook)
    shown = [
        shown
        for cell in cells
        if "report" in notebook.tags(cell)
        for output in cell.get("outputs", [])
        if (shown := _shown(output))
    ]
    sources = (notebook.text(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    title = next((line[2:] for source in sources for line in source.splitlines() if line.startswith("# ")), stage.name)
    return {"stage": stage, "title": title, "outputs": shown} if shown else None


def _shown(output: dict[str, Any]) -> Any:
    """An output as safe HTML: the richest of its forms that a page with no scripts can show."""
    from markupsafe import Markup

    if output["output_type"] == "stream":
        return Markup("<pre>{}</pre>").format(notebook.text(output["text"]))
    data = output.get("data", {})
    if "text/html" in data:
        return Markup(_clean(notebook.text(data["text/html"])))  # noqa: S704 - cleaned
    for kind in _IMAGES:
        if kind in data:
            content = notebook.text(data[kind])
            if kind == "image/svg+xml":
                content = base64.b64encode(content.encode()).decode()
            return Markup('<img src="data:{};base64,{}" alt="{}">').format(
                kind, "".join(content.split()), html.unescape(notebook.text(data.get("text/plain", "")))
            )
    if "text/markdown" in data:
        from nbconvert.filters import markdown2html

        return Markup(_clean(markdown2html(notebook.text(data["text/markdown"]))))  # noqa: S704 - cleaned
    if "text/plain" in data:
        return Markup("<pre>{}</pre>").format(notebook.text(data["text/plain"]))
    return None


def _clean(source: str) -> str:
    """Keep tables, text and embedded images of a notebook's HTML: no scripts, no style sheets, nothing fetched."""
    import bleach  # type: ignore[import-untyped]
    from bleach.css_sanitizer import CSSSanitizer  # type: ignore[import-untyped]

    def allowed(tag: str, name: str, value: str) -> bool:
        if name == "src":
            return tag == "img" and value.startswith("data:image/")
        return name in _ATTRIBUTES

    cleaned: str = bleach.clean(
        _NOT_SHOWN.sub("", source),
        tags=_TAGS,
        attributes=allowed,
        protocols={"data"},
        css_sanitizer=CSSSanitizer(),
        strip=True,
    )
    return cleaned
