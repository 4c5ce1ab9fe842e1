"""What of a pipeline may be changed when it is submitted: pipeline parameters, and the data set as one of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nbhelpers.errors import UserErrorException
from nbhelpers.local.names import WrongValueError
from nbhelpers.local.tabular import TabularDataset

if TYPE_CHECKING:
    from nbhelpers.local.workspace import Workspace


class PipelineParameter:
    """A named value that can be changed when a pipeline is submitted.

    It may stand for any setting of an AutoMLConfig (on Azure ML the settings of an AutoMLStep are fixed), and, in a
    `DatasetConsumptionConfig`, for its training data.

    Parameters
    ----------
    name : str
    default_value : int, str, bool, float or TabularDataset

    Raises
    ------
    ValueError
        The name is no text, or the default value has another type.
    """

    def __init__(self, name: str, default_value: int | str | bool | float | TabularDataset) -> None:
        if not isinstance(name, str) or not name:
            raise WrongValueError(f"{name!r} cannot be the name of a pipeline parameter.", "give a text")
        if not isinstance(default_value, int | str | bool | float | TabularDataset):
            raise WrongValueError(
                f"The default value of pipeline parameter {name!r} is of type {type(default_value).__name__}.",
                "use a whole number, text, truth value, float or data set",
            )
        self.name = name
        self.default_value = default_value

    def __repr__(self) -> str:
        return f"PipelineParameter(name={self.name!r}, default_value={self.default_value!r})"


class DatasetConsumptionConfig:
    """A data set as the input of a step; with a pipeline parameter, one that can be changed when it is submitted.

    Parameters
    ----------
    name : str
        Letters, digits and underscores, the first no digit; nothing depends on it here.
    dataset : TabularDataset, PipelineParameter or tuple
        A parameter has a data set as its default. A tuple is a workspace, a name and, unless the latest is meant, a
        version.
    mode : {"direct"}
        Tables are always read directly.
    path_on_compute : None
        The SDK's argument for data sets of files.

    Raises
    ------
    UserErrorException
        An argument cannot be used.
    """

    def __init__(
        self,
        name: str,
        dataset: TabularDataset | PipelineParameter | tuple[Any, ...],
        mode: str = "direct",
        path_on_compute: str | None = None,
    ) -> None:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            raise UserErrorException(
                f"{name!r} cannot be the name of an input.",
                "use letters, digits and underscores, and do not begin with a digit",
            )
        if str(mode).lower() != "direct" or path_on_compute is not None:
            raise UserErrorException(
                f"mode={mode!r}, path_on_compute={path_on_compute!r}: a table is not mounted or downloaded.",
                "leave both out; only data sets of files have them",
            )
        if isinstance(dataset, tuple) and len(dataset) not in (2, 3):
            raise UserErrorException(
                f"The tuple for the input {name!r} has {len(dataset)} parts.",
                "give (workspace, name) or also a version",
            )
        found = _look_up(*dataset) if isinstance(dataset, tuple) else dataset
        default = found.default_value if isinstance(found, PipelineParameter) else found
        if not isinstance(default, TabularDataset):
            raise UserErrorException(
                f"The input {name!r} is a {type(default).__name__}, not a data set.",
                "pass a TabularDataset, or a PipelineParameter with one as its default_value",
            )
        self.name = name
        self.mode = "direct"
        self.dataset = found

    def __repr__(self) -> str:
        return f"DatasetConsumptionConfig(name={self.name!r}, dataset={self.dataset!r})"


def _look_up(workspace: Workspace, name: str, version: int | str = "latest") -> TabularDataset:
    from nbhelpers.local.dataset import Dataset

    return Dataset.get_by_name(workspace, name, version)
