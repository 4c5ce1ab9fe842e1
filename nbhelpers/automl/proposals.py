"""Which models are tried, in which order: a portfolio of fixed settings first, then ones that Optuna proposes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbhelpers.automl.pipelines import BOOSTED, CALIBRATED, CALIBRATION_FOLDS, WITHOUT_WEIGHTS, Candidate, seeded
from nbhelpers.automl.records import Child
from nbhelpers.automl.settings import Settings
from nbhelpers.errors import DataError
from nbhelpers.metrics import greater_is_better

if TYPE_CHECKING:
    from nbhelpers.automl.data import TrainingData

#: Above so many rows models whose time grows with their square are not tried unless asked for (Azure ML's number).
_MOST_FOR_DISTANCES = 5_000
#: Above so many numbers in the table neural networks and nearest neighbours are not tried unless asked for.
_MOST_CELLS = 2_000_000
#: A boosted model with a faster learning rate than this is a screening that a leader is refined from.
_SCREENING = 0.05
#: The learning rate of a refined model, as a share of that of its screening.
_REFINEMENT = 0.3
#: A round of boosting costs as much as its rows times columns times trees, of so many rows at least. The portfolio has
#: screenings for tables on which a round costs more than this.
_LEAST_ROWS_OF_COST, _MOST_COST = 5_000, 2_000_000

#: Algorithms that are only tried when asked for: others of the portfolio have done better wherever they were measured.
_ON_REQUEST: dict[str, tuple[str, dict[str, Any]]] = {
    "DecisionTree": ("", {"min_samples_leaf": 20}),
    "BernoulliNaiveBayes": ("StandardScalerWrapper", {"alpha": 1.0}),
    "MultinomialNaiveBayes": ("MinMaxScaler", {"alpha": 1.0}),
    "LinearSVM": ("StandardScalerWrapper", {"C": 0.1}),
    "SGD": ("StandardScalerWrapper", {"alpha": 0.001}),
    "AveragedPerceptronClassifier": ("StandardScalerWrapper", {"alpha": 0.0001}),
    "LassoLars": ("StandardScalerWrapper", {"alpha": 0.001}),
    "FastLinearRegressor": ("StandardScalerWrapper", {"C": 0.1}),
    "OnlineGradientDescentRegressor": ("StandardScalerWrapper", {"alpha": 0.001}),
}

#: What Optuna draws from, by algorithm: (low, high) of a number, drawn on a logarithmic scale if "log" follows, or a
#: list to choose from. The name "preprocessor" is no argument of the estimator.
_TREES: list[str] = ["", "OneHotEncoder", "TargetEncoder"]
_SCALED = ["StandardScalerWrapper", "SplineTransformer", "MaxAbsScaler"]
_SPACES: dict[str, dict[str, Any]] = {
    "LightGBM": {
        "preprocessor": _TREES,
        "learning_rate": (0.02, 0.12, "log"),
        "num_leaves": (3, 128, "log"),
        "min_child_samples": (2, 60, "log"),
        "colsample_bytree": (0.3, 1.0),
        "subsample": (0.6, 1.0),
        "reg_lambda": (0.01, 10.0, "log"),
        "extra_trees": [False, True],
    },
    "XGBoost": {
        "preprocessor": _TREES,
        "learning_rate": (0.03, 0.12, "log"),
        "max_depth": (2, 12),
        "min_child_weight": (0.5, 20.0, "log"),
        "subsample": (0.6, 1.0),
        "colsample_bytree": (0.3, 1.0),
        "reg_lambda": (0.1, 10.0, "log"),
    },
    "GradientBoosting": {
        "preprocessor": _TREES,
        "learning_rate": (0.03, 0.12, "log"),
        "max_leaf_nodes": (4, 96, "log"),
        "min_samples_leaf": (3, 60, "log"),
        "l2_regularization": (0.01, 10.0, "log"),
        "max_features": (0.3, 1.0),
    },
    "RandomForest": {
        "preprocessor": ["", "TargetEncoder"],
        "min_samples_leaf": (1, 16, "log"),
        "max_features": (0.1, 0.9),
        "half": [False, True],
    },
    "ExtremeRandomTrees": {
        "preprocessor": _TREES,
        "min_samples_leaf": (1, 8, "log"),
        "max_features": (0.2, 1.0),
    },
    "LogisticRegression": {"preprocessor": _SCALED, "C": (0.003, 30.0, "log")},
    "ElasticNet": {"preprocessor": _SCALED, "alpha": (1e-5, 0.3, "log"), "l1_ratio": (0.05, 1.0)},
    "KNN": {
        "preprocessor": ["StandardScalerWrapper", "QuantileTransformer"],
        "n_neighbors": (3, 60, "log"),
        "weights": ["uniform", "distance"],
        "p": [1, 2],
    },
    "SVM": {"preprocessor": ["StandardScalerWrapper", "QuantileTransformer"], "C": (0.1, 50.0, "log")},
    "TensorFlowDNN": {
        "preprocessor": ["StandardScalerWrapper", "QuantileTransformer"],
        "hidden_layer_sizes": ["64", "64,32", "128,64", "256"],
        "alpha": (1e-4, 0.3, "log"),
        "learning_rate_init": (5e-4, 5e-3, "log"),
    },
    "DecisionTree": {"min_samples_leaf": (1, 200, "log")},
    "BernoulliNaiveBayes": {"alpha": (0.01, 10.0, "log")},
    "MultinomialNaiveBayes": {"alpha": (0.01, 10.0, "log")},
    "LinearSVM": {"C": (0.001, 10.0, "log")},
    "SGD": {"alpha": (1e-6, 0.1, "log")},
    "AveragedPerceptronClassifier": {"alpha": (1e-6, 0.1, "log")},
    "LassoLars": {"alpha": (1e-6, 0.1, "log")},
    "FastLinearRegressor": {"C": (0.001, 10.0, "log")},
    "OnlineGradientDescentRegressor": {"alpha": (1e-6, 0.1, "log")},
}
#: Trials of a family before Optuna's sampler learns from them.
_STARTUP = 4


def propose(iteration: int, settings: Settings, data: TrainingData, results: Sequence[Child]) -> Candidate:
    """The candidate of an iteration, decided by the table, the settings, the seed and the given results alone.

    First comes the portfolio. Of four candidates after it, two are proposed by Optuna's tree-structured Parzen
    estimator in the best two families so far, one in another family, and one refines the best boosted model that was
    screened with a fast learning rate.

    Parameters
    ----------
    iteration : int
    settings : Settings
    data : TrainingData
    results : sequence of Child
        Children whose results may be used.
    """
    fixed = portfolio(settings, data)
    if iteration < len(fixed):
        candidate = fixed[iteration]
    else:
        candidate = _drawn(iteration, iteration - len(fixed), settings, data, results)
    return seeded(candidate, settings.seed + iteration)


def portfolio(settings: Settings, data: TrainingData) -> list[Candidate]:
    """Settings that did well on tables of different kinds, so ordered that the first few already differ much."""
    classify, n_rows = data.classes is not None, len(data.target)
    suited = _suited(settings, data)
    linear = "LogisticRegression" if classify else "ElasticNet"
    xgboost = "XGBoostClassifier" if classify else "XGBoostRegressor"

    def lightgbm(
        before: str, rate: float, leaves: int, least: int, columns: float, rows: float, ridge: float
    ) -> Candidate:
        names = "learning_rate", "num_leaves", "min_child_samples", "colsample_bytree", "subsample", "reg_lambda"
        values = rate, leaves, least, columns, rows, ridge
        return Candidate("LightGBM", before, dict(zip(names, values, strict=True)))

    def forest(algorithm: str, before: str, least: int, columns: float, half: bool = False) -> Candidate:
        parameters: dict[str, Any] = {"min_samples_leaf": least, "max_features": columns}
        return Candidate(algorithm, before, parameters | ({"half": True} if half else {}))

    def line(before: str, strength: float) -> Candidate:
        parameters = {"C": strength} if classify else {"alpha": _rounded(0.001 / strength), "l1_ratio": 0.5}
        return Candidate(linear, before, parameters)

    def network(before: str, layers: str, alpha: float, rate: float) -> Candidate:
        parameters = {"hidden_layer_sizes": layers.split(","), "alpha": alpha, "learning_rate_init": rate}
        return Candidate("TensorFlowDNN", before, parameters)

    def deep(before: str, depth: int, columns: float) -> Candidate:
        parameters = {"learning_rate": 0.05, "max_depth": depth, "subsample": 0.8, "colsample_bytree": columns}
        return Candidate(xgboost, before, parameters)

    grown = forest("ExtremeRandomTrees", "", least=1, columns=0.5)
    half = forest("RandomForest", "", least=5, columns=0.4, half=True)
    first = [
        lightgbm("", 0.035, 31, 20, 0.9, 0.9, 0.15),
        line("SplineTransformer", 1.0),
        # Trees down to single rows win on small tables with little noise, and are slow and worse on large ones.
        grown if n_rows < 10_000 else lightgbm("", 0.02, 38, 18, 0.86, 0.97, 0.17),
        half,
        network("QuantileTransformer", "64,32", 0.01, 0.003) if n_rows < 10_000 else line("StandardScalerWrapper", 0.3),
    ]
    more = [
        lightgbm("", 0.03, 6, 10, 0.5, 0.8, 1.0),
        deep("", 9, 0.6),
        lightgbm("OneHotEncoder", 0.03, 24, 22, 0.85, 0.85, 0.3),
        Candidate("KNN", "StandardScalerWrapper", {"n_neighbors": 30, "weights": "distance"}),
        lightgbm("", 0.02, 38, 18, 0.86, 0.97, 0.17),
        forest("RandomForest", "", least=1, columns=0.3) if n_rows < 10_000 else deep("", 5, 0.7),
        line("StandardScalerWrapper", 0.3),
        network("StandardScalerWrapper", "128,64", 0.01, 0.002),
        lightgbm("TargetEncoder", 0.03, 28, 20, 0.85, 0.9, 0.2),
        forest("ExtremeRandomTrees", "TargetEncoder", least=3, columns=0.8),
        Candidate("SVM", "StandardScalerWrapper", {"C": 5.0}),
        lightgbm("", 0.04, 96, 5, 0.6, 0.9, 1.0),
        Candidate("GradientBoosting", "", {"learning_rate": 0.06, "max_leaf_nodes": 31, "l2_regularization": 1.0}),
        deep("", 4, 0.6),
        network("QuantileTransformer", "256", 0.03, 0.002),
        line("SplineTransformer", 0.05),
    ]
    fixed = [candidate for candidate in first if candidate.algorithm in suited]
    fixed += [candidate for candidate in more if candidate.algorithm in suited]
    trees = len(data.classes) if data.classes is not None and len(data.classes) > 2 else 1
    if max(n_rows, _LEAST_ROWS_OF_COST) * data.matrix.shape[1] * trees > _MOST_COST:
        # A linear model is done soon, whatever time there is.
        fixed = sorted(map(_quickened, fixed), key=lambda candidate: candidate != line("StandardScalerWrapper", 0.3))
    if not data.categorical:  # nothing to encode
        plain = [
            Candidate(one.algorithm, "" if one.preprocessor in _TREES else one.preprocessor, one.parameters)
            for one in fixed
        ]
        fixed = [one for one, whole in zip(plain, fixed, strict=True) if one == whole or one.algorithm != "LightGBM"]
    fixed = [candidate for i, candidate in enumerate(fixed) if candidate not in fixed[:i]]
    asked = settings.allowed_models or ()
    return fixed + [Candidate(name, *_ON_REQUEST[name]) for name in asked if name in _ON_REQUEST and name in suited]


def _quickened(candidate: Candidate) -> Candidate:
    """A boosted candidate with a faster learning rate; any other as it is."""
    if candidate.algorithm not in BOOSTED:
        return candidate
    rate = _rounded(candidate.parameters["learning_rate"] / _REFINEMENT)
    return Candidate(candidate.algorithm, candidate.preprocessor, candidate.parameters | {"learning_rate": rate})


def _fewest(data: TrainingData) -> int:
    """The rows to train on of the class that has the fewest."""
    assert data.classes is not None  # noqa: S101 - for mypy
    return int(np.bincount(data.target[data.final], minlength=len(data.classes)).min())


def _suited(settings: Settings, data: TrainingData) -> list[str]:
    """The algorithms to try: those that may be, without the ones that the table is too large for or that need more."""
    names = [name for name in settings.algorithms if data.weights is None or name not in WITHOUT_WEIGHTS]
    if data.classes is not None and (rows := _fewest(data)) < 2 * CALIBRATION_FOLDS:
        others = [name for name in names if name not in CALIBRATED]
        if not others:
            raise DataError(
                f"{' and '.join(names)} cannot be trained: a class has {rows} rows, and they need "
                f"{2 * CALIBRATION_FOLDS} to give probabilities.",
                "Allow another model, or leave out or join the rare classes.",
            )
        names = others
    if settings.allowed_models is not None:
        return names
    n_rows, width = data.matrix.shape
    left_out = set(_ON_REQUEST)
    if n_rows > _MOST_FOR_DISTANCES:
        left_out |= {"SVM", "KNN"}
    if n_rows * width > _MOST_CELLS:
        left_out |= {"TensorFlowDNN", "KNN", "SVM"}
    return [name for name in names if name not in left_out] or names


def _drawn(iteration: int, number: int, settings: Settings, data: TrainingData, results: Sequence[Child]) -> Candidate:
    """The candidate of a number after the portfolio, from 0."""
    sign = data.sign
    done = [child for child in results if child.score is not None]
    suited = _suited(settings, data)
    best_of = {
        name: max((sign * (child.score or 0) for child in done if child.algorithm == name), default=-np.inf)
        for name in suited
    }
    ranked = sorted(suited, key=lambda name: -best_of[name])
    leaders, others = ranked[:2], ranked[2:] or ranked
    turn = number % 4
    if turn == 3 and (refined := _refined(done, results, sign)) is not None:
        return refined
    family = {0: leaders[0], 1: leaders[-1], 2: others[number // 4 % len(others)], 3: leaders[0]}[turn]
    return _sampled(family, iteration, settings, data, [child for child in done if child.algorithm == family])


def _refined(done: list[Child], results: Sequence[Child], sign: int) -> Candidate | None:
    """The best boosted model that was screened with a fast learning rate and not refined yet, with a slow one."""
    boosted = [child for child in done if child.parameters.get("learning_rate", 0) > _SCREENING]
    tried = [_settings_of(child) for child in results]  # those given up, too
    for child in sorted(boosted, key=lambda child: -sign * (child.score or 0)):
        slower = _settings_of(child) | {"learning_rate": _rounded(child.parameters["learning_rate"] * _REFINEMENT)}
        if slower not in tried:
            return Candidate(child.algorithm, child.preprocessor, slower)
    return None


def _settings_of(child: Child) -> dict[str, Any]:
    """The parameters of a child without those that are results or come from its iteration."""
    return {name: value for name, value in child.parameters.items() if name not in ("rounds", "random_state")}


def _sampled(family: str, iteration: int, settings: Settings, data: TrainingData, known: list[Child]) -> Candidate:
    """A candidate that Optuna draws, having learned from the known children of the family."""
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space: dict[str, Any] = {}
    for name, values in _SPACES["XGBoost" if family.startswith("XGBoost") else family].items():
        if name == "preprocessor" and not data.categorical and values is _TREES:
            continue  # without categories all of them are the same
        if isinstance(values, list):
            space[name] = CategoricalDistribution(values)
        elif isinstance(values[0], int):
            space[name] = IntDistribution(values[0], values[1], log=len(values) > 2)
        else:
            space[name] = FloatDistribution(values[0], values[1], log=len(values) > 2)
    seed = int(np.random.default_rng([settings.seed, iteration]).integers(2**31))
    study = optuna.create_study(
        direction="maximize" if greater_is_better(settings.primary_metric) else "minimize",
        sampler=optuna.samplers.TPESampler(n_startup_trials=_STARTUP, multivariate=True, seed=seed),
    )
    for child in known:
        values = {"preprocessor": child.preprocessor, "extra_trees": False, "half": False} | child.parameters
        if "hidden_layer_sizes" in values:
            values["hidden_layer_sizes"] = ",".join(values["hidden_layer_sizes"])
        inside = {name: values[name] for name in space if name in values and _holds(space[name], values[name])}
        if len(inside) == len(space):
            study.add_trial(optuna.trial.create_trial(params=inside, distributions=space, value=child.score))
    drawn = study.ask(space).params
    before = drawn.pop("preprocessor", "")
    if family in _ON_REQUEST:
        before = _ON_REQUEST[family][0]
    parameters: dict[str, Any] = {
        name: _rounded(value) if isinstance(value, float) else value for name, value in drawn.items()
    }
    if "hidden_layer_sizes" in parameters:
        parameters["hidden_layer_sizes"] = parameters["hidden_layer_sizes"].split(",")
    return Candidate(family, before, {name: value for name, value in parameters.items() if value is not False})


def _holds(distribution: Any, value: Any) -> bool:
    """Whether a value is one that the distribution could have drawn."""
    choices = getattr(distribution, "choices", None)
    return value in choices if choices else bool(distribution.low <= value <= distribution.high)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
