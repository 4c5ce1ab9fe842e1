"""The search for a model: data frames in, a fitted ensemble and a record of every child out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbhelpers.automl.columns import check_rows
    from nbhelpers.automl.engine import search
    from nbhelpers.automl.featurize import DataTransformer
    from nbhelpers.automl.folds import infer_task, stratified_split
    from nbhelpers.automl.labels import has_label, read_label
    from nbhelpers.automl.records import LAG, Child, Pool, Result, SerialPool, TaskLostError
    from nbhelpers.automl.settings import Settings, check_settings

__all__ = [
    "LAG",
    "TRUSTED_TYPES",
    "VERSION_PACKAGES",
    "Child",
    "DataTransformer",
    "Pool",
    "Result",
    "SerialPool",
    "Settings",
    "TaskLostError",
    "check_rows",
    "check_settings",
    "has_label",
    "infer_task",
    "read_label",
    "search",
    "stratified_split",
]

#: What skops must be told to trust in a stored model, beyond what it trusts itself.
TRUSTED_TYPES: tuple[str, ...] = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "nbhelpers.automl.columns.Column",
    "nbhelpers.automl.ensemble.PreFittedSoftVotingClassifier",
    "nbhelpers.automl.ensemble.PreFittedVotingRegressor",
    "nbhelpers.automl.ensemble.StackEnsembleClassifier",
    "nbhelpers.automl.ensemble.StackEnsembleRegressor",
    "nbhelpers.automl.featurize.DataTransformer",
    "nbhelpers.automl.opinion_pool.OpinionPool",
    "nbhelpers.automl.stopping.EarlyStoppedClassifier",
    "nbhelpers.automl.stopping.EarlyStoppedRegressor",
    "numpy.dtype",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
    "scipy.interpolate._bsplines.BSpline",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.model_selection._split.KFold",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.tree._tree.Tree",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
)

#: Packages whose versions decide whether a stored model can be loaded and predicts the same.
VERSION_PACKAGES: tuple[str, ...] = (
    "nbhelpers",
    "scikit-learn",
    "lightgbm",
    "xgboost-cpu",
    "numpy",
    "scipy",
    "pandas",
    "skops",
)

_MODULES = {
    "LAG": "records",
    "Child": "records",
    "DataTransformer": "featurize",
    "Pool": "records",
    "Result": "records",
    "SerialPool": "records",
    "Settings": "settings",
    "TaskLostError": "records",
    "check_rows": "columns",
    "check_settings": "settings",
    "has_label": "labels",
    "infer_task": "folds",
    "read_label": "labels",
    "search": "engine",
    "stratified_split": "folds",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
