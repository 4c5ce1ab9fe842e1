"""The scikit-learn pipelines that candidates are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from nbhelpers.automl.data import TrainingData
    from nbhelpers.automl.records import Child

#: Trees of a boosted model at most; early stopping chooses the number.
MOST_TREES = 3000

#: Below so many rows no forest samples half of them: a tree would see a handful.
_LEAST_TO_HALVE = 100
#: Share of missing values from which a column of markers stands beside imputed numbers (Azure ML's number).
_GAPS = 0.01
#: Rows that a tree of a forest is grown on at most.
_MOST_FOR_TREE = 100_000
#: Trees of a forest: at least, and at most.
_TREES = 100, 200
#: Columns that a split of a forest looks at, at most: more take time in proportion and find little.
_MOST_FOR_SPLIT = 60
#: A column has so many one-hot columns at most: before trees, and before other models of large and of small tables.
_MOST_LEVELS_OF_TREES, _MOST_LEVELS = 50, (50, 500)
#: Numbers in the one-hot columns of a table at most, about.
_MOST_ONE_HOT = 10_000_000
#: Rows at which bags of early stopped models have one fit; half as many rows have two, and so on.
_ROWS_FOR_ONE = 16_000
_MOST_MODELS = 6
#: A table with more columns than this counts as one with more rows.
_USUAL_WIDTH = 50

#: Boosted trees.
BOOSTED = ("LightGBM", "XGBoostClassifier", "XGBoostRegressor", "GradientBoosting")
FORESTS = ("RandomForest", "ExtremeRandomTrees")
#: The algorithms that are trained in rounds.
IN_ROUNDS = (*BOOSTED, "TensorFlowDNN")
#: Folds in which a classifier without probabilities is given some; each class needs so many rows.
CALIBRATION_FOLDS = 3
#: The classifiers without probabilities.
CALIBRATED = ("SVM", "LinearSVM", "SGD", "AveragedPerceptronClassifier")
#: The algorithms that cannot weight rows.
WITHOUT_WEIGHTS = ("KNN", "LassoLars")
#: The algorithms without a random state.
_WITHOUT_SEED = ("KNN", "ElasticNet", "LassoLars", "BernoulliNaiveBayes", "MultinomialNaiveBayes", "LogisticRegression")


@dataclass(frozen=True)
class Candidate:
    """A model to try: names as in `Child`, and the arguments of its estimator."""

    algorithm: str
    preprocessor: str
    parameters: dict[str, Any]

    @classmethod
    def of(cls, child: Child) -> Candidate:
        """What a child was made of."""
        return cls(child.algorithm, child.preprocessor, child.parameters)


def seeded(candidate: Candidate, seed: int) -> Candidate:
    """The candidate with a random state of its own: it makes models of a family differ by more than their settings."""
    if candidate.algorithm in _WITHOUT_SEED:
        return candidate
    parameters = candidate.parameters | {"random_state": seed % 2**31}
    return Candidate(candidate.algorithm, candidate.preprocessor, parameters)


def steps_of(
    candidate: Candidate, data: TrainingData, rounds: int | None = None, n_rows: int | None = None
) -> list[tuple[str, Any]]:
    """The steps of the candidate's pipeline, named as scikit-learn's ``make_pipeline`` would.

    Parameters
    ----------
    candidate : Candidate
    data : TrainingData
    rounds : int, optional
        For an algorithm that is trained in rounds: their number, instead of one found by early stopping.
    n_rows : int, optional
        Rows that it will be fitted to; default: those of the smallest training part.
    """
    estimator = _estimator(candidate, data, rounds, n_rows or _least_rows(data))
    steps = [*_preprocessing(candidate.preprocessor, data), estimator]
    return [(type(step).__name__.lower(), step) for step in steps]


#: Azure ML's name for the preprocessor of a pipeline, where it has one; it has none for encodings alone.
AZURE_PREPROCESSORS = {
    "SplineTransformer": "StandardScalerWrapper",
    "QuantileTransformer": "StandardScalerWrapper",
    "OneHotEncoder": "",
    "TargetEncoder": "",
}


def described(candidate: Candidate, data: TrainingData) -> str:
    """What is fitted, in scikit-learn's names: "OneHotEncoder + StandardScaler, 4 x MLPClassifier"."""
    steps = [step for _, step in steps_of(candidate, data)]
    before = [
        type(part).__name__
        for transformer in steps[:-1]
        for part in _parts(transformer)
        if type(part).__name__ != "SimpleImputer"
    ]
    last = getattr(steps[-1], "regressor", steps[-1])
    model = last.estimator if type(last).__name__.startswith(("EarlyStopped", "Calibrated")) else last
    times = f"{steps[-1].n_models} x " if getattr(steps[-1], "n_models", 1) > 1 else ""
    return ", ".join(part for part in (" + ".join(before), times + type(model).__name__) if part)


def _parts(transformer: Any) -> list[Any]:
    """The transformers that a column transformer is made of."""
    parts = [part for _, part, columns in transformer.transformers if columns]
    return [step for part in parts for step in ([step for _, step in part.steps] if hasattr(part, "steps") else [part])]


def bag_size(data: TrainingData) -> int:
    """How many models an early stopped one is the mean of: several where rows are few, as they cost little there."""
    # A round of boosting has a tree for each class, and most of the time of other models does not grow with them.
    classes = 2 if data.classes is None else max(2, len(data.classes))
    rows = len(data.target) * (0.5 + classes / 4) * max(1, data.matrix.shape[1] / _USUAL_WIDTH)
    return int(np.clip(round(_ROWS_FOR_ONE / rows), 1, _MOST_MODELS))


def _least_rows(data: TrainingData) -> int:
    """The rows of the smallest training part."""
    return min(len(split.train) for split in data.splits)


def _estimator(candidate: Candidate, data: TrainingData, rounds: int | None, n_rows: int) -> Any:
    from nbhelpers.automl.stopping import EarlyStoppedClassifier, EarlyStoppedRegressor

    classify, parameters = data.classes is not None, dict(candidate.parameters)
    if candidate.algorithm in IN_ROUNDS:
        wrapper = EarlyStoppedClassifier if classify else EarlyStoppedRegressor
        parameters.pop("rounds", None)
        return wrapper(_in_rounds(candidate.algorithm, parameters, data), bag_size(data), rounds)
    if candidate.algorithm in FORESTS:
        return _forest(candidate.algorithm, parameters, data, n_rows)
    if candidate.algorithm == "KNN":
        parameters["n_neighbors"] = min(parameters["n_neighbors"], _least_rows(data))
    return _other(candidate.algorithm, parameters, classify)


def _in_rounds(algorithm: str, parameters: dict[str, Any], data: TrainingData) -> Any:
    classify, threads = data.classes is not None, data.threads
    match algorithm:
        case "LightGBM":
            from lightgbm import LGBMClassifier, LGBMRegressor

            # The same model whatever the number of threads; row-wise histograms need no trial of both kinds.
            fixed: dict[str, Any] = {"deterministic": True, "force_row_wise": True, "n_jobs": threads, "verbose": -1}
            fixed |= {"n_estimators": MOST_TREES, "subsample_freq": 1}
            return (LGBMClassifier if classify else LGBMRegressor)(**fixed, **parameters)
        case "XGBoostClassifier" | "XGBoostRegressor":
            from xgboost import XGBClassifier, XGBRegressor

            fixed = {"tree_method": "hist", "n_jobs": threads, "n_estimators": MOST_TREES, "verbosity": 0}
            return (XGBClassifier if classify else XGBRegressor)(**fixed, **parameters)
        case "GradientBoosting":
            from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

            booster = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
            return booster(max_iter=MOST_TREES, **parameters)
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    layers = tuple(int(width) for width in parameters.pop("hidden_layer_sizes"))
    # Few rows are seen in small steps, many in large ones: about forty an epoch, and no batch above 512 rows.
    batch = min(int(np.clip(len(data.target) // 40, 16, 512)), _least_rows(data) // 2)
    return (MLPClassifier if classify else MLPRegressor)(hidden_layer_sizes=layers, batch_size=batch, **parameters)


def _forest(algorithm: str, parameters: dict[str, Any], data: TrainingData, n_rows: int) -> Any:
    from sklearn import ensemble
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.preprocessing import StandardScaler

    name = {"RandomForest": "RandomForest", "ExtremeRandomTrees": "ExtraTrees"}[algorithm]
    # Small tables can afford more trees, and gain more by them; each node keeps a number for each class.
    values = len(data.target) * (1 if data.classes is None else len(data.classes) / 2)
    parameters["n_estimators"] = int(np.clip(1_500_000 // values, *_TREES))
    width = data.matrix.shape[1]
    parameters["max_features"] = max(min(parameters["max_features"], _MOST_FOR_SPLIT / width), 1 / width)
    half = parameters.pop("half", False) and _least_rows(data) >= _LEAST_TO_HALVE
    if half or n_rows > _MOST_FOR_TREE:
        parameters |= {"bootstrap": True, "max_samples": min(0.5 if half else 1.0, _MOST_FOR_TREE / n_rows)}
    if data.classes is not None:
        return getattr(ensemble, f"{name}Classifier")(criterion="entropy", n_jobs=data.threads, **parameters)
    # Trees do not split a target whose variance is below 2e-16, as one around 1e-9.
    forest = getattr(ensemble, f"{name}Regressor")(n_jobs=data.threads, **parameters)
    return TransformedTargetRegressor(forest, transformer=StandardScaler())


def _other(algorithm: str, parameters: dict[str, Any], classify: bool) -> Any:
    from sklearn import calibration, linear_model, naive_bayes, neighbors, svm, tree
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.preprocessing import StandardScaler

    if classify:
        match algorithm:
            case "LogisticRegression":
                return linear_model.LogisticRegression(max_iter=500, **parameters)
            case "KNN":
                return neighbors.KNeighborsClassifier(**parameters)
            case "DecisionTree":
                return tree.DecisionTreeClassifier(**parameters)
            case "BernoulliNaiveBayes":
                return naive_bayes.BernoulliNB(**parameters)
            case "MultinomialNaiveBayes":
                return naive_bayes.MultinomialNB(**parameters)
            case "SVM":
                machine = svm.SVC(cache_size=500, **parameters)
            case "LinearSVM":
                machine = svm.LinearSVC(**parameters)
            case "SGD":
                machine = linear_model.SGDClassifier(loss="log_loss", **parameters)
            case _:  # AveragedPerceptronClassifier
                machine = linear_model.SGDClassifier(loss="perceptron", average=True, **parameters)
        # Their distances from the boundary become probabilities by a logistic curve, fitted to rows left out of them.
        return calibration.CalibratedClassifierCV(machine, cv=CALIBRATION_FOLDS, ensemble=False)
    match algorithm:
        case "ElasticNet":
            model = linear_model.ElasticNet(max_iter=5000, **parameters)
        case "LassoLars":
            model = linear_model.LassoLars(**parameters)
        case "KNN":
            model = neighbors.KNeighborsRegressor(**parameters)
        case "DecisionTree":
            model = tree.DecisionTreeRegressor(**parameters)
        case "FastLinearRegressor":
            model = svm.LinearSVR(loss="squared_epsilon_insensitive", **parameters)
        case _:  # SGD, OnlineGradientDescentRegressor
            model = linear_model.SGDRegressor(average=algorithm == "SGD", **parameters)
    # Penalties are in units of the target, so that is standardised.
    return TransformedTargetRegressor(model, transformer=StandardScaler())


def _preprocessing(name: str, data: TrainingData) -> list[Any]:
    """What stands before an estimator; it is fitted within each fold.

    Trees need nothing: they take codes as numbers and missing values as such. Others get numbers imputed and scaled
    (StandardScalerWrapper is Azure ML's name for standardised columns) or expanded into splines, and categories
    one-hot; where more than one value in a hundred is missing, a column says which.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import MissingIndicator, SimpleImputer
    from sklearn.model_selection import KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import (
        MaxAbsScaler,
        MinMaxScaler,
        OneHotEncoder,
        QuantileTransformer,
        SplineTransformer,
        StandardScaler,
        TargetEncoder,
    )

    if not name:
        return []
    levels = _MOST_LEVELS_OF_TREES
    if name != "OneHotEncoder":
        cells = len(data.target) * max(len(data.categorical), 1)
        levels = int(np.clip(_MOST_ONE_HOT // cells, *_MOST_LEVELS))
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=levels, sparse_output=False)
    encoder: Any = one_hot
    if name == "TargetEncoder":  # which would take whole numbers for classes, each with a column of its own
        kind = "continuous" if data.classes is None else "auto"
        encoder = TargetEncoder(target_type=kind, cv=KFold(5, shuffle=True, random_state=0))
    parts: list[tuple[str, Any, list[int]]] = [(type(encoder).__name__.lower(), encoder, data.categorical)]
    if name not in ("OneHotEncoder", "TargetEncoder"):
        scaler = {
            "StandardScalerWrapper": [StandardScaler()],
            "MaxAbsScaler": [MaxAbsScaler()],
            "MinMaxScaler": [MinMaxScaler(clip=True)],
            "QuantileTransformer": [
                QuantileTransformer(
                    n_quantiles=min(200, _least_rows(data)), output_distribution="normal", random_state=0
                )
            ],
            "SplineTransformer": [StandardScaler(), SplineTransformer(knots="quantile", n_knots=6, degree=2)],
        }[name]
        numbers = [column for column in range(data.matrix.shape[1]) if column not in set(data.categorical)]
        gaps = [column for column in numbers if np.isnan(data.matrix[:, column]).mean() > _GAPS]
        parts.append(("numbers", make_pipeline(SimpleImputer(keep_empty_features=True), *scaler), numbers))
        if gaps:
            parts.append(("missingindicator", MissingIndicator(features="all"), gaps))
    return [ColumnTransformer(parts, remainder="passthrough")]
