"""FeaturizationConfig: what is to become of columns, where that should not be found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nbhelpers.automl import featurization_config
from nbhelpers.errors import ConfigException


class FeaturizationConfig:
    """Purposes of columns, replacements of missing values, and what is left out; for ``AutoMLConfig(featurization=…)``.

    Names and purposes are checked whenever they are given, and those of columns when the data is read. One that asks
    for nothing counts as ``"auto"``.

    Parameters
    ----------
    blocked_transformers : list of str, optional
        ``"TfIdf"``, ``"HashOneHotEncoder"`` and ``"DateTimeTransformer"`` leave out the columns whose purpose is Text,
        CategoricalHash and DateTime; the other names of the SDK are accepted without effect, as each model's own
        pipeline encodes, imputes and scales.
    column_purposes : dict, optional
        By column: Numeric, Categorical, CategoricalHash, DateTime or Text, or one that leaves it out: Ignore, Hashes
        or AllNan.
    transformer_params : dict, optional
        ``{"Imputer": [(columns, {"strategy": "mean"}), …]}``; see `add_transformer_params`.
    drop_columns : list of str, optional
        Columns to leave out.
    dataset_language : str, optional
        ISO 639-3 code. Without effect here: texts are compared by characters and words of any language.
    prediction_transform_type : None
        The SDK's rounding of predictions, which is not supported.

    Raises
    ------
    ConfigException
        An unknown purpose, transformer or strategy, or a column that is dropped and still given something to do.
    """

    _blocked_transformers: list[str] | None = None
    _column_purposes: dict[str, str] | None = None
    _transformer_params: dict[str, list[tuple[list[str], dict[str, Any]]]] | None = None
    _drop_columns: list[str] | None = None
    _dataset_language: str | None = None
    _prediction_transform_type: None = None

    def __init__(
        self,
        blocked_transformers: list[str] | None = None,
        column_purposes: dict[str, str] | None = None,
        transformer_params: dict[str, list[tuple[list[str], dict[str, Any]]]] | None = None,
        drop_columns: list[str] | None = None,
        dataset_language: str | None = None,
        prediction_transform_type: None = None,
    ) -> None:
        self._change(
            blocked_transformers=blocked_transformers,
            column_purposes=column_purposes,
            transformer_params=transformer_params,
            drop_columns=drop_columns,
            dataset_language=dataset_language,
            prediction_transform_type=prediction_transform_type,
        )

    @property
    def blocked_transformers(self) -> list[str] | None:
        """Names of transformers."""
        return self._blocked_transformers

    @blocked_transformers.setter
    def blocked_transformers(self, names: list[str] | None) -> None:
        self._change(blocked_transformers=names)

    @property
    def column_purposes(self) -> dict[str, str] | None:
        """Purpose by column."""
        return self._column_purposes

    @column_purposes.setter
    def column_purposes(self, purposes: dict[str, str] | None) -> None:
        self._change(column_purposes=purposes)

    @property
    def transformer_params(self) -> dict[str, list[tuple[list[str], dict[str, Any]]]] | None:
        """Columns and parameters by transformer."""
        return self._transformer_params

    @transformer_params.setter
    def transformer_params(self, params: dict[str, list[tuple[list[str], dict[str, Any]]]] | None) -> None:
        self._change(transformer_params=params)

    @property
    def drop_columns(self) -> list[str] | None:
        """Columns that are left out."""
        return self._drop_columns

    @drop_columns.setter
    def drop_columns(self, columns: list[str] | None) -> None:
        self._change(drop_columns=columns)

    @property
    def dataset_language(self) -> str | None:
        """ISO 639-3 code."""
        return self._dataset_language

    @dataset_language.setter
    def dataset_language(self, code: str | None) -> None:
        self._change(dataset_language=code)

    def add_column_purpose(self, column_name: str, feature_type: str) -> None:
        """Give a column a purpose."""
        self._change(column_purposes={**(self.column_purposes or {}), column_name: feature_type})

    def remove_column_purpose(self, column_name: str) -> None:
        """Let the purpose of a column be found out again."""
        purposes = self.column_purposes or {}
        self._change(column_purposes={name: purpose for name, purpose in purposes.items() if name != column_name})

    def add_blocked_transformers(self, transformers: str | Sequence[str]) -> None:
        """Block one or more transformers."""
        self._change(blocked_transformers=[*(self.blocked_transformers or []), *_listed(transformers)])

    def add_drop_columns(self, drop_columns: str | Sequence[str]) -> None:
        """Leave out one or more columns."""
        self._change(drop_columns=[*(self.drop_columns or []), *_listed(drop_columns)])

    def add_transformer_params(self, transformer: str, cols: list[str], params: Mapping[str, Any]) -> None:
        """Have missing values replaced, for all models alike.

        Parameters
        ----------
        transformer : "Imputer"
        cols : list of str
            Columns; an empty list stands for all to which the strategy applies and that have no entry of their own.
        params : mapping
            ``strategy``: mean, median (of numbers or dates), most_frequent or constant, with a ``fill_value``.
        """
        others = self._others(transformer, cols)
        self._change(
            transformer_params={**(self.transformer_params or {}), transformer: [*others, (cols, dict(params))]}
        )

    def get_transformer_params(self, transformer: str, cols: list[str]) -> dict[str, Any]:
        """The parameters that were given for just these columns; empty if none were."""
        entries = (self.transformer_params or {}).get(transformer, [])
        return next((params for columns, params in entries if list(columns) == list(cols)), {})

    def remove_transformer_params(self, transformer: str, cols: list[str] | None = None) -> None:
        """Take back the parameters for just these columns, or all of the transformer."""
        others = [] if cols is None else self._others(transformer, cols)
        kept = {name: entries for name, entries in (self.transformer_params or {}).items() if name != transformer}
        self._change(transformer_params={**kept, transformer: others} if others else kept)

    def to_settings(self) -> str | dict[str, Any]:
        """What the settings of a search hold: "auto" if nothing is asked for, else plain data, as JSON has it."""
        settings: str | dict[str, Any] = featurization_config.normal_form(vars(self))
        return settings

    def _others(self, transformer: str, cols: list[str]) -> list[tuple[list[str], dict[str, Any]]]:
        entries = (self.transformer_params or {}).get(transformer, [])
        return [(columns, params) for columns, params in entries if list(columns) != list(cols)]

    def _change(self, **parts: Any) -> None:
        changed = vars(self) | {f"_{name}": part for name, part in parts.items()}
        if problem := featurization_config.problem_of(changed):
            raise ConfigException(f"The FeaturizationConfig {problem}", "Correct or remove what is named above.")
        vars(self).update(changed)

    def __repr__(self) -> str:
        parts = (f"{name.removeprefix('_')}={part!r}" for name, part in sorted(vars(self).items()))
        return f"FeaturizationConfig({', '.join(parts)})"


def _listed(names: str | Sequence[str]) -> Sequence[str]:
    return [names] if isinstance(names, str) else names
