"""The best model of a run, put to use on raw rows."""

from __future__ import annotations

import pickle
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nbhelpers.errors import DataError, ModelError, NbhelpersError
from nbhelpers.metrics import classification_metrics, regression_metrics
from nbhelpers.results.runs import automl_step, of_sdk
from nbhelpers.results.versions import differences, remedy

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class BestModel:
    """The fitted model of the best child of a run.

    Attributes
    ----------
    step, child
        The AutoML step run, and its child that the model comes from.
    model
        A fitted scikit-learn estimator.
    classes : list or None
        Sorted labels; None for regression.
    """

    step: Any
    child: Any
    model: Any
    classes: list[Any] | None

    @classmethod
    def of(cls, run: Any) -> BestModel:
        """Load it; raises `ModelError` with the reason where that cannot be done here."""
        step = automl_step(run)
        child, model = _opened(step)
        # Azure's models encode the labels beside the pipeline, whose own classes are then 0, 1, ...
        source = getattr(model, "y_transformer", None) or model
        classes = getattr(source, "classes_", None) if hasattr(model, "predict_proba") else None
        return cls(step, child, model, None if classes is None else np.asarray(classes).tolist())

    def features(self, frame: pd.DataFrame, label: str | None = None) -> pd.DataFrame:
        """The columns that the model was trained on, in their order.

        Raises
        ------
        DataError
            Columns are missing, or there are two of a name.
        """
        frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
        kept = getattr(self.model, "feature_names_in_", None)
        # A model that keeps no names is given all but the label.
        names = [name for name in frame.columns if name != label] if kept is None else [str(name) for name in kept]
        if twice := [name for name in dict.fromkeys(names) if (frame.columns == name).sum() > 1]:
            raise DataError(f"The table has several columns named {', '.join(twice)}.", "rename or drop all but one.")
        missing = [name for name in names if name not in frame.columns]
        if missing:
            raise DataError(
                f"The table lacks columns that the model was trained on: {', '.join(missing)}.",
                "give rows with all columns of the training set.",
            )
        return frame[names]

    def output(self, features: pd.DataFrame) -> Array:
        """Probabilities (n, C), or predicted values (n,) for regression."""
        if features.empty:
            raise DataError("The table has no rows to predict.", "give at least one row.")
        try:
            return np.asarray(self.model.predict_proba(features) if self.classes else self.model.predict(features))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"The model cannot use these rows: {error}",
                "give columns with the types of the training set; profile(frame) shows them.",
            ) from error

    def truth(self, label: pd.Series[Any]) -> Array:
        """True labels as positions in `classes` (for regression as numbers); `DataError` names one that is neither."""
        return read_truth(label, self.classes)

    def metrics(self, truth: Array, output: Array, y_range: tuple[float, float] | None = None) -> dict[str, float]:
        """All scalar metrics of the task, from what `truth` and `output` return."""
        if self.classes is None:
            return regression_metrics(truth, output, y_range)
        return classification_metrics(truth, output, np.arange(len(self.classes)))

    def metric(self, name: str, truth: Array, output: Array, y_range: tuple[float, float]) -> float:
        """One of the `metrics`, without the others that take long."""
        if self.classes is None:
            return regression_metrics(truth, output, y_range)[name]
        stems = [stem for stem in ("AUC", "average_precision_score") if name.startswith(stem)]
        return classification_metrics(truth, output, np.arange(len(self.classes)), stems)[name]


def best_model(run: Any) -> tuple[Any, Any]:
    """The best child of a run and its fitted model.

    The SDK's ``AutoMLRun.get_output`` gives no model where the package azureml-train-automl-runtime is missing; this
    opens any model whose own packages are here.

    Raises
    ------
    ModelError
        The model cannot be opened here; the versions that it needs are named.
    """
    best = BestModel.of(run)
    return best.child, best.model


def _opened(step: Any) -> tuple[Any, Any]:
    child = None
    try:
        if not of_sdk(step):
            return step.get_output()  # type: ignore[no-any-return]
        child = step.get_best_child()
        if needed := differences(child):
            raise ModelError(f"The model of {child.id} needs other versions: {', '.join(needed)}.", remedy(child))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.pkl"
            child.download_file(child.properties.get("model_output_path", "outputs/model.pkl"), str(file))
            return child, pickle.loads(file.read_bytes())  # noqa: S301 (the user's own; the SDK does the same)
    except NbhelpersError:
        raise
    except Exception as error:  # unpickling elsewhere fails in as many ways as there are packages
        raise ModelError(
            f"The best model of the run cannot be loaded here: {error}",
            remedy(child)
            if child
            else "install the package versions that the model was made with, in an environment of its own.",
        ) from error


def read_truth(label: pd.Series[Any], classes: list[Any] | None) -> Array:
    """Labels without gaps as positions in the classes, or as numbers where there are none (regression).

    Raises
    ------
    DataError
        A label is no class of training, or no finite number.
    """
    if classes is None:
        numbers = pd.to_numeric(label, errors="coerce").astype(float)
        if (wrong := ~np.isfinite(numbers)).any():
            raise _bad_label(label[wrong], "which is no number", "give numbers: the task is regression.")
        return numbers.to_numpy()
    # 1, 1.0 and True are one key of a dictionary; text is the way from "True" in a file to True.
    places = {str(name): k for k, name in enumerate(classes)}
    places |= {name: k for k, name in enumerate(classes)}
    codes = label.astype(object).map(lambda value: places.get(value, places.get(_text(value))))
    if codes.isna().any():
        known = ", ".join(map(repr, classes[:20])) + (", …" if len(classes) > 20 else "")
        raise _bad_label(label[codes.isna()], "which training never saw", f"use the classes of training: {known}.")
    return codes.to_numpy(dtype=int)


def _text(value: Any) -> str:
    """A label as text; whole numbers are floats in a table where another label is missing or has a fraction."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _bad_label(values: pd.Series[Any], reason: str, remedy: str) -> DataError:
    value = values.iloc[0]
    value = value.item() if isinstance(value, np.generic) else value
    return DataError(f"Label column {values.name!r} holds {value!r} in {len(values)} rows, {reason}.", remedy)
