"""The definitions of data sets: the text from which the client reads the rows, and what belongs to it.

One that is kept is called a *saved* data set; it never changes.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.state import State

#: The kind of the documents that definitions are kept in, by id.
SAVED = "saved data set"
#: The members of JSON are in camelCase.
FORM = ConfigDict(strict=True, alias_generator=to_camel, populate_by_name=True)

_NAMESPACE = uuid.UUID("00000000-0000-4000-a000-0000000000da")


class SavedDataset(BaseModel):
    """A definition, in the client's form."""

    model_config = FORM

    dataflow_json: str
    dataset_type: str | None = None
    properties: dict[str, Any] | None = None


def rows_definition(dataflow: str) -> str:
    """The text in a definition that the client's reader of rows understands, which is YAML.

    Raises
    ------
    CloudError
        400: there is none.
    """
    try:
        text = json.loads(dataflow)["meta"]["RsDataflow"]
    except (ValueError, TypeError, KeyError):
        text = None
    if not isinstance(text, str) or not text:
        raise CloudError(
            400,
            "InvalidDataflow",
            "The definition of the data set has no text meta.RsDataflow: make the data set with azureml-core 1.61.",
        )
    return text


def save(cloud: State, dataflow: str, kind: str | None, properties: dict[str, Any] | None = None) -> dict[str, Any]:
    """Keep a definition; an equal one has the same id.

    Parameters
    ----------
    cloud : State
    dataflow : str
        JSON with the member ``meta.RsDataflow``.
    kind : str or None
        "tabular", "file", or None for the first.
    properties : dict, optional
        What the client keeps beside it, such as the columns with times.

    Returns
    -------
    dict
        In the client's form, with ``id``.

    Raises
    ------
    CloudError
        400: the definition cannot be read.
    """
    rows_definition(dataflow)
    saved = {"datasetType": kind or "tabular", "properties": properties or {}, "dataflowJson": dataflow}
    return keep(cloud, str(uuid.uuid5(_NAMESPACE, json.dumps(saved, sort_keys=True))), saved)


def get_saved(cloud: State, id: str) -> dict[str, Any]:
    """A definition, in the client's form.

    Raises
    ------
    CloudError
        404: there is none.
    """
    saved = cloud.documents.get(SAVED, id)
    if saved is None:
        raise CloudError(404, "NotFound", f"The workspace has no data set with the id {id!r}.")
    return saved


def keep(cloud: State, id: str, content: dict[str, Any]) -> dict[str, Any]:
    """Keep a definition under an id; gives it in the client's form."""
    saved = {"id": id, **content, "dataChanged": False}
    cloud.documents.put(SAVED, id, saved)
    return saved


def content_of(saved: dict[str, Any]) -> dict[str, Any]:
    """What makes two definitions the same."""
    return {key: saved[key] for key in ("datasetType", "properties", "dataflowJson")}
