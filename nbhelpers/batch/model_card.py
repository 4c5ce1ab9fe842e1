"""The model card of a batch: what its cell tagged `model-card` shows, as a file of its own."""

from __future__ import annotations

from nbhelpers.batch import notebook
from nbhelpers.batch.record import Record

#: Its name in the folder of the batch.
CARD = "model_card.md"


def write_model_card(record: Record) -> None:
    """Write the Markdown of the last cell tagged `model-card` of a finished stage; without one there is no file."""
    texts = [
        notebook.text(output["data"]["text/markdown"])
        for stage in record.stages
        if stage.status == "finished" and (record.folder / stage.notebook).is_file()
        for cell in notebook.read_cells(record.folder / stage.notebook)
        if "model-card" in notebook.tags(cell)
        for output in cell.get("outputs", [])
        if "text/markdown" in output.get("data", {})
    ]
    if not texts:
        (record.folder / CARD).unlink(missing_ok=True)  # of a model that is being replaced
        return
    record.write(CARD, texts[-1])
