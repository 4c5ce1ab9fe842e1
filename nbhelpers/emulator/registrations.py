"""Registered data sets: definitions with a name, under which they are versions 1, 2 and so on."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict

from pydantic import BaseModel

from nbhelpers.emulator.definitions import FORM, content_of, get_saved, keep, save
from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.state import State
from nbhelpers.local.store import now
from nbhelpers.local.tabular import check_registration

#: The kind of the documents that registrations are kept in, by name.
REGISTERED = "data set"
#: Registrations are read and written back by one request at a time.
_registering = threading.Lock()


class Definition(BaseModel):
    """The definition within a registration."""

    model_config = FORM

    dataflow: str | None = None
    properties: dict[str, Any] | None = None
    saved_dataset_id: str | None = None
    version_id: str | None = None


class Registration(BaseModel):
    """A definition with a name, in the client's form."""

    model_config = FORM

    name: str
    latest: Definition
    dataset_type: str | None = None
    description: str | None = None
    tags: dict[str, str] | None = None


class Version(TypedDict):
    """One version of a registered data set, as it is kept."""

    saved: str
    description: str | None
    tags: dict[str, str]
    created: str
    modified: str


class Registered(TypedDict):
    """A registered data set, as it is kept; version 1 is the first in the list."""

    id: str
    versions: list[Version]


class Reference(NamedTuple):
    """The definition that a reference to a data set means, and the name and version it is registered under."""

    saved_id: str
    name: str | None = None
    version: str | None = None


def get_definition(cloud: State, id: str) -> dict[str, Any]:
    """A definition, in the client's form, by its own id, or the id of a registered data set for its latest version.

    Raises
    ------
    CloudError
        404: there is none.
    """
    name = _name_of(cloud, id)
    return get_saved(cloud, _all(cloud)[name]["versions"][-1]["saved"] if name else id)


def get_registered(cloud: State, name: str, version: str | int | None = None) -> dict[str, Any]:
    """A registered data set, in the client's form.

    Parameters
    ----------
    cloud : State
    name : str
    version : str, int or None
        A number; "latest" or None is the latest.

    Raises
    ------
    CloudError
        404: there is no such name or version.
    """
    registered = _all(cloud).get(name)
    if registered is None:
        raise CloudError(404, "NotFound", f"No data set {name!r} is registered in the workspace.")
    count = len(registered["versions"])
    number = str(count) if version in (None, "", "latest") else str(version)
    if number not in map(str, range(1, count + 1)):
        raise CloudError(404, "NotFound", f"The data set {name!r} has no version {version!r}; it has 1 to {count}.")
    return _shown(cloud, name, registered, int(number))


def registration_of(cloud: State, saved_id: str) -> dict[str, Any] | None:
    """The registered data set that a definition is a version of, in the client's form; None if it has no name."""
    for name, registered in _all(cloud).items():
        for number, version in enumerate(registered["versions"], start=1):
            if version["saved"] == saved_id:
                return _shown(cloud, name, registered, number)
    return None


def find_reference(cloud: State, value: Mapping[str, Any]) -> Reference:
    """What a reference in a graph or in a request to run a pipeline means.

    Parameters
    ----------
    cloud : State
    value : mapping
        With the member ``SavedDataSetReference`` (``Id``), or ``DataSetReference`` (``Name`` or ``Id``, and
        ``Version``).

    Raises
    ------
    CloudError
        404: there is no such data set.
    """
    saved, registered = (value.get(key) or {} for key in ("SavedDataSetReference", "DataSetReference"))
    if id := saved.get("Id"):
        saved_id: str = get_definition(cloud, str(id))["id"]
        found = registration_of(cloud, saved_id)
        return Reference(saved_id, found["name"], found["latest"]["versionId"]) if found else Reference(saved_id)
    name = registered.get("Name") or _name_of(cloud, registered.get("Id"))
    if name is None:
        raise CloudError(
            404,
            "NotFound",
            f"The reference {dict(value)} means no data set of the workspace: give the Id of a SavedDataSetReference, "
            "or the Name or Id of a DataSetReference.",
        )
    dataset = get_registered(cloud, name, registered.get("Version"))
    return Reference(dataset["latest"]["savedDatasetId"], name, dataset["latest"]["versionId"])


def register(cloud: State, given: Registration, *, new_version: bool = False) -> dict[str, Any]:
    """Give a definition a name.

    Parameters
    ----------
    cloud : State
    given : Registration
        With the definition, or the id of one that is saved already.
    new_version : bool
        Add a version if the name is taken. A definition that equals the latest version is that version, and takes
        over the description and tags that are given.

    Returns
    -------
    dict
        The version, in the client's form.

    Raises
    ------
    CloudError
        400: the definition has a name already, or is none; 404: there is no definition with the id; 409: the name is
        taken.
    UserErrorException
        The name, description or tags cannot be used.
    """
    check_registration(cloud.workspace, given.name, given.description, given.tags)
    with _registering:
        saved = _saved_for(cloud, given.latest, given.dataset_type)
        registered: Registered = _all(cloud).get(given.name) or {"id": str(uuid.uuid4()), "versions": []}
        versions = registered["versions"]
        equal = [
            number
            for number, version in enumerate(versions, start=1)
            if content_of(get_saved(cloud, version["saved"])) == content_of(saved)
        ]
        if new_version and equal and equal[-1] == len(versions):
            _change(versions[-1], given.description, given.tags)
        elif equal and not new_version:
            raise _identical(given.name, equal[-1])
        elif versions and not new_version:
            raise CloudError(
                409, "DatasetExists", f"A data set {given.name!r} is registered; register a new version of it."
            )
        else:
            if elsewhere := registration_of(cloud, saved["id"]):
                if given.latest.saved_dataset_id:
                    raise _identical(elsewhere["name"], elsewhere["latest"]["versionId"])
                saved = keep(cloud, str(uuid.uuid4()), content_of(saved))  # an id is that of one registration
            moment = now()
            versions.append(
                {
                    "saved": saved["id"],
                    "description": given.description,
                    "tags": given.tags or {},
                    "created": moment,
                    "modified": moment,
                }
            )
        cloud.documents.put(REGISTERED, given.name, registered)
    return _shown(cloud, given.name, registered, len(versions))


def update(cloud: State, id: str, given: Registration) -> dict[str, Any]:
    """Change the description and tags of a version, where they are given.

    Parameters
    ----------
    cloud : State
    id : str
        Of the registered data set.
    given : Registration
        With the name, the version, and what is new.

    Raises
    ------
    CloudError
        404: there is no such name, version or id.
    UserErrorException
        The description or tags cannot be used.
    """
    check_registration(cloud.workspace, given.name, given.description, given.tags)
    with _registering:
        number = int(get_registered(cloud, given.name, given.latest.version_id)["latest"]["versionId"])
        registered = _all(cloud)[given.name]
        if registered["id"] != id:
            raise CloudError(404, "NotFound", f"The data set {given.name!r} has another id than {id!r}.")
        _change(registered["versions"][number - 1], given.description, given.tags)
        cloud.documents.put(REGISTERED, given.name, registered)
    return _shown(cloud, given.name, registered, number)


def unregister(cloud: State, name: str) -> None:
    """Forget a name with all its versions; the definitions stay, for the runs that used them.

    Raises
    ------
    CloudError
        404: there is no such name.
    """
    with _registering:
        get_registered(cloud, name)
        cloud.documents.delete(REGISTERED, name)


def registered_names(cloud: State) -> list[str]:
    """The names of the registered data sets, sorted."""
    return sorted(_all(cloud))


def _all(cloud: State) -> dict[str, Registered]:
    return cloud.documents.all(REGISTERED)  # type: ignore[return-value]  # JSON that `register` has put


def _name_of(cloud: State, id: str | None) -> str | None:
    """The name of the registered data set with an id."""
    return next((name for name, each in _all(cloud).items() if each["id"] == id), None)


def _saved_for(cloud: State, definition: Definition, kind: str | None) -> dict[str, Any]:
    """The definition that a registration means: the one with its id, or else the one that it holds."""
    if definition.saved_dataset_id:
        return get_saved(cloud, definition.saved_dataset_id)
    return save(cloud, definition.dataflow or "", kind, definition.properties)


def _identical(name: str, version: int | str) -> CloudError:
    return CloudError(
        400,
        "DatasetVersionExists",
        # Versions of the SDK look for these words.
        f"An identical data set has been registered as {name}:{version} (name:version). "
        f"Get it with Dataset.get_by_name(workspace, {name!r}, {version}).",
    )


def _change(version: Version, description: str | None, tags: dict[str, str] | None) -> None:
    if description is not None:
        version["description"] = description
    if tags is not None:
        version["tags"] = tags
    version["modified"] = now()


def _shown(cloud: State, name: str, registered: Registered, number: int) -> dict[str, Any]:
    """A version of a registered data set in the client's form."""
    version = registered["versions"][number - 1]
    saved = get_saved(cloud, version["saved"])
    times = {"createdTime": version["created"], "modifiedTime": version["modified"]}
    return {
        "datasetId": registered["id"],
        "name": name,
        "description": version["description"],
        "tags": version["tags"],
        "isVisible": True,
        "datasetType": saved["datasetType"],
        "datasetState": {"state": "active"},
        **times,
        "latest": {
            "datasetId": registered["id"],
            "versionId": str(number),
            "savedDatasetId": saved["id"],
            "dataflow": saved["dataflowJson"],
            "properties": saved["properties"],
            "datasetDefinitionState": {"state": "active"},
            **times,
        },
    }
