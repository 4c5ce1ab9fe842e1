"""From a data frame to a matrix of numbers, decided once on the training table and without looking at labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.pipeline import FeatureUnion, Pipeline

from nbhelpers.automl import styles
from nbhelpers.automl.cells import Texts, Values, discover, read, texts_of
from nbhelpers.automl.columns import (
    DATE_PARTS,
    USED,
    Column,
    date_parts,
    purpose_of,
    require_used,
    unique_names,
    with_names,
)
from nbhelpers.automl.featurization_config import (
    columns_of,
    imputer_asked,
    normal_form,
    purpose_asked,
    purposes_blocked,
)
from nbhelpers.automl.imputing import impute, numbers_of, replacement
from nbhelpers.errors import DataError, nearest

#: Columns that a text becomes, at most.
_TEXT_WIDTH = 24
#: Texts that a decomposition is fitted to at most, and that are in memory as n-grams at a time.
_MOST_TEXTS = 10_000

#: How values must be read for a purpose; categories may be numbers or texts.
_KINDS = {"Numeric": "number", "DateTime": "datetime", "Text": "string"}


class DataTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turns the columns of a data frame into numbers that every candidate's own pipeline starts from.

    ================= =============================================================================================
    purpose           becomes
    ================= =============================================================================================
    Numeric           itself
    Categorical,      a number: itself if it is one, else its position among the sorted values of the training
    CategoricalHash   table, or in their order if they have one. One-hot or target encoding is the candidate's, fold
                      by fold.
    DateTime          year, month, day, day of week, … as far as they vary
    Text              at most 24 columns: hashed frequencies of character tri-grams and of words and word pairs,
                      reduced by a truncated singular value decomposition
    AllNan, Ignore,   nothing: columns without values, with a single one, or with text that hardly ever repeats
    Hashes
    ================= =============================================================================================

    A missing value stays missing (NaN) for the candidates to treat, if its column has missing values in training;
    otherwise the training mean or most frequent category replaces it. An unknown category is a missing value.

    Columns of one name are told apart by their order, as ``name``, ``name.1`` …

    Parameters
    ----------
    featurization : "auto", "off" or dict
        "off" takes every column as it is, and all must be numbers. A dict is a FeaturizationConfig, see
        `nbhelpers.automl.featurization_config`: purposes other than those found, columns to leave out, and what
        replaces missing values for all candidates (for a category, also unknown ones).

    Attributes
    ----------
    columns_ : list of Column
        What was decided, in the order of the training table.
    categorical_ : list of int
        Positions of categories in the output.
    """

    def __init__(self, featurization: str | dict[str, Any] = "auto") -> None:
        self.featurization = featurization

    def fit(self, X: pd.DataFrame, y: Any = None) -> DataTransformer:
        """Decide what becomes of each column; `y` is not looked at.

        Raises
        ------
        DataError
            A configuration that does not fit the columns, a column that is not a number with ``featurization="off"``,
            values that are none, such as lists, or no column left.
        """
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: pd.DataFrame, y: Any = None) -> npt.NDArray[np.float64]:  # noqa: ARG002
        """Like `fit`, and give the matrix of the training table."""
        frame = with_names(X)
        _require_rows(frame)
        asked = normal_form(self.featurization)
        config = asked if isinstance(asked, Mapping) else {}
        problems = _unknown_columns(config, list(frame.columns))
        self.feature_names_in_ = np.array(frame.columns, dtype=object)
        self.n_features_in_ = len(frame.columns)
        self.texts_: dict[str, Pipeline] = {}
        self.columns_: list[Column] = []
        blocks = []
        for name in frame.columns:
            try:
                column, values = self._decide(frame[name], config)
            except DataError as error:
                problems.append(error)
                continue
            self.columns_.append(column)
            if values is not None:
                blocks.append(self._encode(column, values))
        _raise(problems)
        require_used(blocks)
        names = self._names()
        self.categorical_ = [i for i, (column, _) in enumerate(names) if column.purpose.startswith("Categorical")]
        return np.column_stack(blocks)

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
        frame = with_names(X)
        used = [column for column in self.columns_ if column.purpose in USED]
        if missing := [column.name for column in used if column.name not in frame.columns]:
            raise DataError(
                f"The table lacks the column(s) {', '.join(map(repr, missing))} that the model was trained on.",
                "Give a table with all columns of the training data.",
            )
        _require_rows(frame)
        matrix = np.empty((len(frame), len(self._names())))
        start = 0
        for column in used:
            block = self._encode(column, read(frame[column.name], column.kind, column.style))
            matrix[:, start : start + block.shape[1]] = block
            start += block.shape[1]
        return matrix

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:  # noqa: ARG002
        """Names of the columns of the output."""
        return np.array(unique_names(name for _, name in self._names()), dtype=object)

    def sources(self) -> list[str]:
        """The input column that each column of the output was made of."""
        return [column.name for column, _ in self._names()]

    def _decide(self, series: pd.Series[Any], config: Mapping[str, Any]) -> tuple[Column, Values | None]:
        """What becomes of a column, and its values if it is used."""
        name = str(series.name)
        asked = purpose_asked(config, name)
        if asked and asked not in USED:
            return Column(name, asked, "string", int(series.isna().sum())), None
        kind, style, values = _discover_as(series, asked)
        gaps = values.codes < 0 if isinstance(values, Texts) else pd.isna(values)
        column = Column(name, asked or purpose_of(values, series.dtype), kind, int(gaps.sum()), style=style)
        if self.featurization == "off":
            if kind != "number":
                raise DataError(
                    f"Column {name!r} does not hold numbers, and featurization is 'off'.",
                    "Set featurization='auto', or replace the column by numbers.",
                )
            column.purpose = "Numeric"
        elif gaps.all():
            column.purpose = "AllNan"
        elif column.purpose in purposes_blocked(config):
            column.purpose = "Ignore"
        elif column.purpose == "DateTime":
            column.parts = _varying_parts(values)
            column.purpose = "DateTime" if column.parts else "Ignore"
        if column.purpose not in USED:
            return column, None
        if column.purpose == "Text":
            with np.errstate(invalid="ignore"):  # texts too short for n-grams are all alike
                self.texts_[name] = _text_pipeline().fit(_sample(values))
        elif isinstance(values, Texts):
            column.categories = _categories(values, series.dtype)
        params, named = imputer_asked(config, name)
        if params:
            impute(column, values, params, named=named)
        elif not gaps.any() and column.purpose not in ("Text", "DateTime"):
            column.fill = replacement(column, values, "mean" if column.purpose == "Numeric" else "most_frequent")
        return column, values

    def _encode(self, column: Column, values: Any) -> npt.NDArray[np.float64]:
        """The output columns of one input column, shape (n, width)."""
        if column.purpose == "Text":
            return _decomposed(self.texts_[column.name], values)
        if column.purpose == "DateTime":
            fill = np.datetime64("NaT" if np.isnan(column.fill) else int(column.fill), "us")
            return date_parts(np.where(np.isnat(values), fill, values), column.parts)
        numbers = numbers_of(column, values)
        numbers[np.isnan(numbers)] = column.fill
        return numbers[:, np.newaxis]

    def _names(self) -> list[tuple[Column, str]]:
        """The input column and the name of each column of the output."""
        names: list[tuple[Column, str]] = []
        for column in self.columns_:
            match column.purpose:
                case "DateTime":
                    suffixes = [f"_{part}" for part in column.parts]
                case "Text":
                    suffixes = [f"_text_{i}" for i in range(len(self.texts_[column.name]["svd"].components_))]
                case purpose:
                    suffixes = [""] if purpose in USED else []
            names += [(column, column.name + suffix) for suffix in suffixes]
        return names


def _require_rows(frame: pd.DataFrame) -> None:
    if not len(frame):
        raise DataError("The table has no rows.", "Give a table with at least one row.")


def _unknown_columns(config: Mapping[str, Any], names: list[str]) -> list[DataError]:
    """An error that lists the columns that a configuration names and the table lacks, if there are any."""
    unknown = sorted(columns_of(config) - set(names))
    if not unknown:
        return []
    near = [(name, nearest(name, names)) for name in unknown]
    listed = ", ".join(f"{name!r}{f' (did you mean {other!r}?)' if other else ''}" for name, other in near)
    return [
        DataError(
            f"The FeaturizationConfig names columns that the table lacks: {listed}.",
            "Name columns of the training data other than the label.",
        )
    ]


def _raise(problems: list[DataError]) -> None:
    """Raise one error for all of them."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise DataError(
            "\n".join(["The table cannot be used:", *(f"- {error.problem} {error.remedy}" for error in problems)]),
            "Do what is said for each.",
        )


def _discover_as(series: pd.Series[Any], purpose: str | None) -> tuple[str, str, Values]:
    """As `discover`, or as the purpose that was asked for needs it."""
    kind, style, values = discover(series)
    if purpose and purpose.startswith("Categorical") and kind == "datetime":
        return "string", "", texts_of(series)
    needed = _KINDS.get(purpose or "", kind)
    if needed == kind:
        return kind, style, values
    style = styles.date_style(texts_of(series).levels) or styles.ISO if needed == "datetime" else ""
    try:
        return needed, style, read(series, needed, style)
    except DataError as error:
        raise DataError(
            f"{error.problem} So its purpose cannot be {purpose}.", "Correct the values, or give it another purpose."
        ) from None


def _varying_parts(times: Any) -> list[str]:
    parts = date_parts(times[~np.isnat(times)], list(DATE_PARTS))
    varies = parts.min(axis=0) < parts.max(axis=0)
    return [part for part, varying in zip(DATE_PARTS, varies, strict=True) if varying]


def _categories(texts: Texts, dtype: Any) -> list[str]:
    if isinstance(dtype, pd.CategoricalDtype) and dtype.ordered:
        order = texts_of(pd.Series(dtype.categories)).levels
        return [text for text in order if text in set(texts.levels)]
    return sorted(texts.levels)


def _sample(values: Any) -> list[str]:
    """Texts of rows all over the table, for a decomposition to be fitted to."""
    rows = np.linspace(0, len(values.codes) - 1, min(len(values.codes), _MOST_TEXTS)).astype(int)
    levels = np.array([*values.levels, ""], dtype=object)
    return list(levels[values.codes[rows]])


def _decomposed(pipeline: Pipeline, texts: Texts) -> npt.NDArray[np.float64]:
    levels = [*texts.levels, ""]  # the last one for rows without a text
    starts = range(0, len(levels), _MOST_TEXTS)
    parts = [pipeline.transform(levels[start : start + _MOST_TEXTS]) for start in starts]
    return np.asarray(np.vstack(parts)[texts.codes])


def _text_pipeline() -> Pipeline:
    def hashed(analyzer: str, lengths: tuple[int, int]) -> HashingVectorizer:
        return HashingVectorizer(analyzer=analyzer, ngram_range=lengths, n_features=2**12, alternate_sign=False)

    grams = FeatureUnion([("char", hashed("char", (3, 3))), ("word", hashed("word", (1, 2)))])
    return Pipeline([("grams", grams), ("svd", TruncatedSVD(_TEXT_WIDTH, random_state=0))])
