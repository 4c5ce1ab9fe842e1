"""From a data frame to a matrix of numbers, decided once on the training table and without looking at labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.pipeline import FeatureUnion, Pipeline

from nbhelpers.automl.columns import DATE_PARTS, USED, Column, date_parts, kind_of, purpose_of, read, require_used
from nbhelpers.errors import DataError

#: Columns that a text becomes.
_TEXT_WIDTH = 24


class DataTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turns the columns of a data frame into numbers that every candidate's own pipeline starts from.

    ================= =============================================================================================
    purpose           becomes
    ================= =============================================================================================
    Numeric           itself
    Categorical,      a number: itself if it is one, else its position among the sorted values of the training
    CategoricalHash   table. One-hot or target encoding is the candidate's, fold by fold.
    DateTime          year, month, day, day of week, … as far as they vary
    Text              24 columns: hashed frequencies of character tri-grams and of words and word pairs, reduced
                      by a truncated singular value decomposition
    AllNan, Ignore,   nothing: columns without values, with a single one, or with text that hardly ever repeats
    Hashes
    ================= =============================================================================================

    A missing value stays missing (NaN) for the candidates to treat, if its column has missing values in training;
    otherwise the training mean or most frequent category replaces it. An unknown category is a missing value.

    Parameters
    ----------
    featurization : "auto" or "off"
        "off" takes every column as it is, and all must be numbers.

    Attributes
    ----------
    columns_ : list of Column
        What was decided, in the order of the training table.
    categorical_ : list of int
        Positions of categories in the output.
    """

    def __init__(self, featurization: str = "auto") -> None:
        self.featurization = featurization

    def fit(self, X: pd.DataFrame, y: Any = None) -> DataTransformer:
        """Decide what becomes of each column; `y` is not looked at.

        Raises
        ------
        DataError
            Two columns of one name, a column that is not a number with ``featurization="off"``, or no column left.
        """
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: pd.DataFrame, y: Any = None) -> npt.NDArray[np.float64]:  # noqa: ARG002
        """Like `fit`, and give the matrix of the training table."""
        frame = _with_names(X)
        self.feature_names_in_ = np.array(frame.columns, dtype=object)
        self.n_features_in_ = len(frame.columns)
        self.texts_: dict[str, Pipeline] = {}
        self.columns_ = [self._decide(frame[name]) for name in frame.columns]
        require_used([column for column in self.columns_ if column.purpose in USED])
        names = self._names()
        self.categorical_ = [i for i, (column, _) in enumerate(names) if column.purpose.startswith("Categorical")]
        return self.transform(frame)

    def transform(self, X: pd.DataFrame) -> npt.NDArray[np.float64]:
        """The matrix of a table that has the training columns, in any order; others are ignored.

        Returns
        -------
        (n, width) array of float

        Raises
        ------
        DataError
            A column is missing, or holds a value of another type than in training; the message names it.
        """
        frame = _with_names(X)
        used = [column for column in self.columns_ if column.purpose in USED]
        if missing := [column.name for column in used if column.name not in frame.columns]:
            raise DataError(
                f"The table lacks the column(s) {', '.join(map(repr, missing))} that the model was trained on.",
                "Give a table with all columns of the training data.",
            )
        if frame.empty:
            raise DataError("The table has no rows.", "Give a table with at least one row.")
        return np.column_stack([self._numbers(column, frame[column.name]) for column in used])

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:  # noqa: ARG002
        """Names of the columns of the output."""
        return np.array([name for _, name in self._names()], dtype=object)

    def _decide(self, values: pd.Series[Any]) -> Column:
        name, kind = str(values.name), kind_of(values)
        array = read(values, kind)
        missing = int(pd.isna(array).sum())
        if self.featurization == "off":
            if kind != "number":
                raise DataError(
                    f"Column {name!r} does not hold numbers, and featurization is 'off'.",
                    "Set featurization='auto', or replace the column by numbers.",
                )
            return Column(name, "Numeric", kind, missing, fill=np.nan if missing else float(array.mean()))
        column = Column(name, purpose_of(values, kind), kind, missing)
        match column.purpose:
            case "Numeric" if not missing:
                column.fill = float(array.mean())
            case "Categorical" | "CategoricalHash":
                if kind == "string":
                    column.categories = sorted(set(array[~pd.isna(array)]))
                    array = _codes(array, column.categories)
                if not missing:
                    numbers, counts = np.unique(array, return_counts=True)
                    column.fill = float(numbers[counts.argmax()])
            case "DateTime":
                parts = date_parts(array, list(DATE_PARTS))
                varying = [len(np.unique(part[~np.isnan(part)])) > 1 for part in parts.T]
                column.parts = [part for part, varies in zip(DATE_PARTS, varying, strict=True) if varies]
                column.purpose = "DateTime" if column.parts else "Ignore"
            case "Text":
                self.texts_[name] = _text_pipeline().fit(_documents(array))
        return column

    def _numbers(self, column: Column, values: pd.Series[Any]) -> npt.NDArray[np.float64]:
        """The output columns of one input column, shape (n, width)."""
        array = read(values, column.kind)
        if column.purpose == "Text":
            return np.asarray(self.texts_[column.name].transform(_documents(array)))
        if column.purpose == "DateTime":
            return date_parts(array, column.parts)
        numbers = _codes(array, column.categories) if column.kind == "string" else array
        return np.where(np.isnan(numbers), column.fill, numbers)[:, np.newaxis]

    def _names(self) -> list[tuple[Column, str]]:
        """The input column and the name of each column of the output."""
        names: list[tuple[Column, str]] = []
        for column in self.columns_:
            match column.purpose:
                case "DateTime":
                    suffixes = [f"_{part}" for part in column.parts]
                case "Text":
                    suffixes = [f"_text_{i}" for i in range(_TEXT_WIDTH)]
                case purpose:
                    suffixes = [""] if purpose in USED else []
            names += [(column, column.name + suffix) for suffix in suffixes]
        return names


def _with_names(X: Any) -> pd.DataFrame:
    if not isinstance(X, pd.DataFrame):
        raise DataError(f"A {type(X).__name__} is not a table with named columns.", "Give a pandas DataFrame.")
    frame = X.set_axis([str(name) for name in X.columns], axis=1)
    if not frame.columns.is_unique:
        name = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"The table has more than one column {name!r}.", "Give every column its own name.")
    return frame


def _codes(texts: npt.NDArray[Any], categories: list[str]) -> npt.NDArray[np.float64]:
    """Positions of texts among the categories; NaN for others."""
    codes = {category: code for code, category in enumerate(categories)}
    return np.array([codes.get(text, np.nan) for text in texts], dtype=float)


def _documents(texts: npt.NDArray[Any]) -> list[str]:
    return ["" if text is None else text for text in texts]


def _text_pipeline() -> Pipeline:
    def hashed(analyzer: str, lengths: tuple[int, int]) -> HashingVectorizer:
        return HashingVectorizer(analyzer=analyzer, ngram_range=lengths, n_features=2**12, alternate_sign=False)

    grams = FeatureUnion([("char", hashed("char", (3, 3))), ("word", hashed("word", (1, 2)))])
    return Pipeline([("grams", grams), ("svd", TruncatedSVD(_TEXT_WIDTH, random_state=0))])
