"""Which models are tried, in which order, and the scikit-learn pipelines that they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbhelpers.automl.records import Child
from nbhelpers.automl.settings import Settings
from nbhelpers.metrics import greater_is_better

#: Trees of a LightGBM model at most; early stopping chooses the number.
MOST_TREES = 2000

#: Below so many rows no forest samples half of them: a tree would see a handful.
_LEAST_TO_HALVE = 100


@dataclass(frozen=True)
class Candidate:
    """A model to try: names as in `Child`, and the arguments of its estimator."""

    algorithm: str
    preprocessor: str
    parameters: dict[str, Any]


def propose(iteration: int, settings: Settings, n_rows: int, results: Sequence[Child]) -> Candidate:
    """The candidate of an iteration, decided by the seed and by the given results alone.

    First come fixed settings that did well on tables of different kinds, then drawn ones: of three candidates one
    varies the best LightGBM model among the results, one is a new draw, and one is of another family.

    Parameters
    ----------
    iteration : int
    settings : Settings
    n_rows : int
        Rows of the training table.
    results : sequence of Child
        Children whose results may be used.
    """
    fixed = [candidate for candidate in _portfolio(settings.task, n_rows) if candidate.algorithm in settings.algorithms]
    if iteration < len(fixed):
        candidate = fixed[iteration]
    else:
        rng = np.random.default_rng([settings.seed, iteration])
        candidate = _draw(iteration - len(fixed), settings, n_rows, results, rng)
    # A seed of their own makes the models of a family, forests above all, differ by more than their settings.
    own = {"random_state": (settings.seed + iteration) % 2**31} if candidate.algorithm != "ElasticNet" else {}
    return Candidate(candidate.algorithm, candidate.preprocessor, candidate.parameters | own)


def steps_of(candidate: Candidate, task: str, categorical: list[int], threads: int) -> list[tuple[str, Any]]:
    """The steps of the candidate's pipeline, named as scikit-learn's ``make_pipeline`` would."""
    from lightgbm import LGBMClassifier, LGBMRegressor
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import ElasticNet, LogisticRegression
    from sklearn.preprocessing import StandardScaler

    classify = task == "classification"
    estimator: Any
    match candidate.algorithm:
        case "LightGBM":
            # The same model whatever the number of threads; row-wise histograms need no trial of both kinds.
            fixed: dict[str, Any] = {"deterministic": True, "force_row_wise": True, "n_jobs": threads, "verbose": -1}
            estimator = (LGBMClassifier if classify else LGBMRegressor)(**fixed, **candidate.parameters)
        case "RandomForest":
            forest = RandomForestClassifier if classify else RandomForestRegressor
            estimator = forest(n_jobs=threads, **candidate.parameters)
            if not classify:  # trees do not split a target whose variance is below 2e-16, as one around 1e-9
                estimator = TransformedTargetRegressor(estimator, transformer=StandardScaler())
        case "LogisticRegression":
            estimator = LogisticRegression(max_iter=1000, **candidate.parameters)
        case _:
            # The penalty is in units of the target, so that is standardised too.
            net = ElasticNet(max_iter=5000, **candidate.parameters)
            estimator = TransformedTargetRegressor(net, transformer=StandardScaler())
    steps = [*_preprocessing(candidate.preprocessor, categorical), estimator]
    return [(type(step).__name__.lower(), step) for step in steps]


def _preprocessing(name: str, categorical: list[int]) -> list[Any]:
    """What stands before an estimator; it is fitted within each fold.

    Tree models need nothing: they take codes as numbers and missing values as such. Linear ones get numbers imputed and
    scaled (StandardScalerWrapper is Azure ML's name for standardised columns) or expanded into splines, and categories
    one-hot.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, SplineTransformer, StandardScaler, TargetEncoder

    if not name:
        return []
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=50, sparse_output=False)
    encoder: Any = TargetEncoder(cv=KFold(5, shuffle=True, random_state=0)) if name == "TargetEncoder" else one_hot
    rest: Any = "passthrough"
    if name not in ("OneHotEncoder", "TargetEncoder"):
        scaler = {
            "StandardScalerWrapper": [StandardScaler()],
            "MaxAbsScaler": [MaxAbsScaler()],
            "SplineTransformer": [StandardScaler(), SplineTransformer(knots="quantile", n_knots=6, degree=2)],
        }[name]
        rest = make_pipeline(SimpleImputer(keep_empty_features=True), *scaler)
    return [ColumnTransformer([(type(encoder).__name__.lower(), encoder, categorical)], remainder=rest)]


def _lightgbm(
    preprocessor: str, rate: float, leaves: int, least: int, columns: float, rows: float, ridge: float
) -> Candidate:
    parameters = {
        "n_estimators": MOST_TREES,
        "learning_rate": rate,
        "num_leaves": leaves,
        "min_child_samples": least,
        "colsample_bytree": columns,
        "subsample": rows,
        "subsample_freq": 1,
        "reg_lambda": ridge,
    }
    return Candidate("LightGBM", preprocessor, parameters)


def _forest(task: str, n_rows: int, least: int, columns: float, half: bool) -> Candidate:
    half = half and n_rows >= _LEAST_TO_HALVE
    # Small tables can afford more trees, and gain more by them.
    parameters: dict[str, Any] = {"n_estimators": int(np.clip(1_500_000 // n_rows, 100, 300))}
    parameters |= {"min_samples_leaf": least, "max_features": columns, "max_samples": 0.5 if half else None}
    if task == "classification":
        parameters["criterion"] = "entropy"
    return Candidate("RandomForest", "", parameters)


def _linear(task: str, preprocessor: str, strength: float) -> Candidate:
    """A linear model; `strength` is the C of a logistic regression, and the inverse of an elastic net's penalty."""
    if task == "classification":
        return Candidate("LogisticRegression", preprocessor, {"C": strength})
    return Candidate("ElasticNet", preprocessor, {"alpha": _rounded(0.001 / strength), "l1_ratio": 0.5})


def _portfolio(task: str, n_rows: int) -> list[Candidate]:
    small = _forest(task, n_rows, least=1, columns=0.3, half=False)
    return [
        _lightgbm("", 0.035, 31, 20, 0.9, 0.9, 0.15),
        _lightgbm("", 0.02, 38, 18, 0.86, 0.97, 0.17),
        _forest(task, n_rows, least=5, columns=0.4, half=True),
        _linear(task, "StandardScalerWrapper", 0.3),
        _lightgbm("OneHotEncoder", 0.03, 24, 22, 0.85, 0.85, 0.3),
        _lightgbm("TargetEncoder", 0.03, 28, 20, 0.85, 0.9, 0.2),
        # Trees down to single rows win on small tables with little noise, and are slow and worse on large ones.
        small if n_rows < 10_000 else _forest(task, n_rows, least=10, columns=0.5, half=True),
        _linear(task, "SplineTransformer", 1.0),
    ]


def _draw(
    number: int, settings: Settings, n_rows: int, results: Sequence[Child], rng: np.random.Generator
) -> Candidate:
    """The drawn candidate of a number, from 0."""
    others = [name for name in settings.algorithms if name != "LightGBM"]
    if "LightGBM" not in settings.algorithms or (others and number % 3 == 2):
        if others[number // 3 % len(others)] == "RandomForest":
            least, columns = int(2 ** rng.uniform(0, 4)), round(float(rng.uniform(0.15, 0.7)), 2)
            return _forest(settings.task, n_rows, least, columns, half=bool(rng.integers(2)))
        preprocessor = str(rng.choice(["StandardScalerWrapper", "MaxAbsScaler", "SplineTransformer"]))
        return _linear(settings.task, preprocessor, _rounded(10 ** rng.uniform(-1.5, 1.5)))
    leader = _leader(settings.primary_metric, results)
    if leader is None or number % 3 == 1:
        return _lightgbm(
            str(rng.choice(["", "", "OneHotEncoder", "TargetEncoder"])),
            rate=_rounded(rng.uniform(0.02, 0.05)),
            leaves=int(2 ** rng.uniform(2.5, 6)),
            least=int(rng.integers(5, 50)),
            columns=_rounded(rng.uniform(0.5, 1)),
            rows=_rounded(rng.uniform(0.7, 1)),
            ridge=_rounded(10 ** rng.uniform(-2, 1)),
        )
    best = leader.parameters
    return _lightgbm(
        leader.preprocessor,
        rate=_rounded(np.clip(best["learning_rate"] * 2 ** rng.normal(0, 0.3), 0.015, 0.06)),
        leaves=max(4, round(best["num_leaves"] * 2 ** rng.normal(0, 0.4))),
        least=max(2, round(best["min_child_samples"] * 2 ** rng.normal(0, 0.4))),
        columns=_rounded(np.clip(best["colsample_bytree"] + rng.normal(0, 0.07), 0.3, 1)),
        rows=_rounded(np.clip(best["subsample"] + rng.normal(0, 0.07), 0.5, 1)),
        ridge=_rounded(best["reg_lambda"] * 2 ** rng.normal(0, 1)),
    )


def _leader(metric: str, results: Sequence[Child]) -> Child | None:
    """The best completed LightGBM child."""
    done = [child for child in results if child.algorithm == "LightGBM" and child.score is not None]
    sign = 1 if greater_is_better(metric) else -1
    return max(done, key=lambda child: sign * (child.score or 0), default=None)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
