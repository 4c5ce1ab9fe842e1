"""Data sets that come with the package, so that every notebook runs offline.

They are synthetic wherever the original may not be stored here; each folder has a PROVENANCE.md that says what it is
and where the original can be had.

>>> from nbhelpers.bundled import bundled_data
>>> bundled_data("bank-marketing-twin").label
'y'
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nbhelpers.errors import DataError

__all__ = ["BUNDLED", "Bundle", "bundled_data"]

BUNDLED: tuple[str, ...] = ("bank-marketing-twin",)
"""Names of the data sets."""


@dataclass(frozen=True)
class Bundle:
    """One data set that comes with the package.

    Parameters
    ----------
    name : str
        The name that `bundled_data` knows.
    train, test : Path
        The Parquet files, with the same columns.
    label : str
        The column to predict.
    task : str
        "classification" or "regression".
    description : str
        What the rows are, in one or two sentences for a reader; says so if they are synthetic.
    synthetic : bool
        Whether the rows were drawn by a program.
    citation : str
        Source and licence of the original.
    """

    name: str
    train: Path
    test: Path
    label: str
    task: str
    description: str
    synthetic: bool
    citation: str


def bundled_data(name: str) -> Bundle:
    """Return the bundled data set of that name.

    Parameters
    ----------
    name : str
        One of `BUNDLED`.

    Raises
    ------
    DataError
        There is none of that name.
    """
    if name not in BUNDLED:
        raise DataError(f"There is no bundled data set {name!r}.", f"Use one of: {', '.join(BUNDLED)}.")
    folder = Path(__file__).parent / name.replace("-", "_")
    return Bundle(
        name=name,
        train=folder / "train.parquet",
        test=folder / "test.parquet",
        label="y",
        task="classification",
        description=(
            "Synthetic twin of the UCI Bank Marketing table: telephone calls of a Portuguese bank from 2008 to 2010,"
            " and whether the client subscribed a term deposit (y). Drawn from aggregated figures, not from persons."
        ),
        synthetic=True,
        citation=(
            "Original: S. Moro, P. Cortez, P. Rita (2014), Bank Marketing, UCI Machine Learning Repository,"
            " https://doi.org/10.24432/C5K306, CC BY 4.0."
        ),
    )
