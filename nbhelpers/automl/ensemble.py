"""Ensembles: which children vote with which weight, what is learned from their votes, and the fitted models of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from nbhelpers.automl.data import TrainingData
from nbhelpers.automl.folds import assign_folds
from nbhelpers.automl.meta_learners import meta_learner
from nbhelpers.automl.records import Child
from nbhelpers.automl.settings import Settings
from nbhelpers.errors import ModelError

_Array = npt.NDArray[Any]

#: As many of the best children may vote, and the best of each algorithm.
_MOST_CANDIDATES = 25
#: Parts of a single hold-out, on which ensembles are chosen and judged in turn.
_PARTS = 5
#: Probabilities below this are taken for it before their logarithm: a forest says 0 of what it has not seen.
_LEAST_PROBABILITY = 1e-3
#: With more predictions of a member no ensemble is stacked: twelve members' would take 300 MB.
_MOST_PREDICTIONS = 3_000_000


@dataclass
class Ensemble:
    """An ensemble that was chosen on out-of-fold predictions.

    Attributes
    ----------
    weights : dict of int to float
        By iteration of a child. Votes sum to 1; in a stack it is a member's share of the absolute coefficients.
    predictions : array
        For the scored rows of the data, of each part by what was chosen on the other parts only.
    meta : estimator or None
        What a stack has learned from all scored rows.
    """

    weights: dict[int, float]
    predictions: _Array
    meta: Any = None


def vote(children: Sequence[Child], data: TrainingData, picks: int) -> Ensemble:
    """Choose a voting ensemble, greedily and with replacement.

    Starting from nothing, the child whose vote improves the out-of-fold predictions of the ensemble most is added,
    `picks` times; the best ensemble on the way wins, and a member's weight is its share of the picks (Caruana et al.
    2004). Votes are judged by log loss (squared error in regression), also where the primary metric is another: on the
    bank marketing data, choosing by AUC gained 0.0001 of it on the folds, nothing on new rows, and cost log loss there.

    Parameters
    ----------
    children : sequence of Child
        Completed children with out-of-fold predictions.
    data : TrainingData
    picks : int
    """
    candidates = _candidates(children, data)
    judged = _Judged(data)
    votes = np.stack([judged.relevant(child) for child in candidates])
    predictions = np.empty_like(_of(candidates[0]))
    for inside in judged.parts():
        shares = _greedy(votes[:, ~inside], judged, ~inside, picks)
        predictions[inside] = _mean(candidates, shares, inside)
    shares = _greedy(votes, judged, np.ones(len(judged.truth), dtype=bool), picks)
    return Ensemble(_weights(candidates, shares), predictions)


def stack(children: Sequence[Child], data: TrainingData, settings: Settings, voters: Sequence[int]) -> Ensemble:
    """Learn from the out-of-fold predictions of the voters, and of the best child of each algorithm.

    Parameters
    ----------
    children : sequence of Child
        Completed children with out-of-fold predictions.
    data : TrainingData
    settings : Settings
    voters : sequence of int
        Iterations of the members of the voting ensemble.
    """
    best_of = {child.algorithm: child for child in reversed(_ranked(children, data))}
    chosen = {*voters, *(child.iteration for child in best_of.values())}
    members = [child for child in children if child.iteration in chosen]
    judged = _Judged(data)
    features = stack_features([_of(child) for child in members])
    base = np.mean([_of(child) for child in members], axis=0)
    scale = unit(data)
    predictions = np.empty_like(base)
    for inside in judged.parts():
        outside = 1.0 if data.classes is not None else float(np.std(judged.truth[~inside])) or 1.0
        meta = _learned(features[~inside], base[~inside], judged, ~inside, settings, outside)
        predictions[inside] = stack_predictions(meta, features[inside], base[inside], outside)
    meta = _learned(features, base, judged, np.ones(len(judged.truth), dtype=bool), settings, scale)
    strength = np.abs(np.atleast_2d(getattr(meta, "coef_", np.ones(features.shape[1])))).sum(axis=0)
    shares = strength.reshape(len(members), -1).sum(axis=1)
    total = float(shares.sum())
    shares = shares / total if total > 0 else np.full(len(members), 1 / len(members))
    return Ensemble(_weights(members, shares, keep=True), predictions, meta)


def can_stack(data: TrainingData) -> bool:
    """Whether the members' predictions fit in memory together."""
    return data.n_predictions <= _MOST_PREDICTIONS


def unit(data: TrainingData) -> float:
    """What a stack's meta learner measures values in: their standard deviation; 1 in a classification."""
    return 1.0 if data.classes is not None else float(np.std(data.target[data.scored])) or 1.0


class _Judged:
    """The truth of the scored rows, and how predictions of them are judged."""

    def __init__(self, data: TrainingData) -> None:
        rows = data.scored
        self.classes = data.classes
        self.truth = data.target[rows]
        self.weights = None if data.weights is None else data.weights[rows]
        self._folds = data.parts
        unique, first, which = np.unique(rows, return_index=True, return_inverse=True)
        if len(data.splits) == 1 or len(unique) < len(rows):  # a row that is judged twice belongs to one part only
            strata = np.zeros(len(unique), dtype=np.int64) if data.classes is None else self.truth[first]
            self._folds = assign_folds(strata, min(_PARTS, len(unique)), seed=0)[which]

    def parts(self) -> list[npt.NDArray[np.bool_]]:
        """Masks of the parts, each of which is predicted by what was chosen on the others."""
        return [self._folds == part for part in np.unique(self._folds)]

    def relevant(self, child: Child) -> _Array:
        """What of a child's predictions decides about its loss: the probability of the true class, or the value."""
        predictions = _of(child)
        return predictions if self.classes is None else predictions[np.arange(len(predictions)), self.truth]

    def losses(self, votes: _Array, rows: _Array) -> _Array:
        """Log loss or squared error of each of some votes, shape (k, number of rows)."""
        weights = None if self.weights is None else self.weights[rows]
        if self.classes is None:
            return np.asarray(np.average((votes - self.truth[rows]) ** 2, axis=1, weights=weights))
        return -np.asarray(np.average(np.log(np.clip(votes, 1e-15, None)), axis=1, weights=weights))


def losses(data: TrainingData, predictions: _Array) -> list[float]:
    """Log loss, or mean squared error, of predictions for the scored rows: that of each fold."""
    judged = _Judged(data)
    found = predictions if data.classes is None else predictions[np.arange(len(predictions)), judged.truth]
    folds = [data.parts == fold for fold in range(len(data.splits))]
    return [float(judged.losses(found[np.newaxis, rows], rows)[0]) for rows in folds]


def _greedy(votes: _Array, judged: _Judged, rows: _Array, picks: int) -> _Array:
    """The share of each vote."""
    chosen: list[int] = []
    total = np.zeros(votes.shape[1])
    least, best = np.inf, 1
    for size in range(1, picks + 1):
        losses = judged.losses((total + votes) / size, rows)
        pick = int(np.argmin(losses))
        chosen.append(pick)
        total = total + votes[pick]
        if losses[pick] < least:
            least, best = float(losses[pick]), size
    return np.bincount(chosen[:best], minlength=len(votes)) / best


def _ranked(children: Sequence[Child], data: TrainingData) -> list[Child]:
    return sorted(children, key=lambda child: (-data.sign * (child.score or 0.0), child.iteration))


def _candidates(children: Sequence[Child], data: TrainingData) -> list[Child]:
    ranked = _ranked(children, data)
    best_of = {child.algorithm: child.iteration for child in reversed(ranked)}
    kept = {child.iteration for child in ranked[:_MOST_CANDIDATES]} | set(best_of.values())
    return [child for child in children if child.iteration in kept]


def _of(child: Child) -> _Array:
    return np.asarray(child.predictions)


def _mean(children: Sequence[Child], shares: _Array, rows: _Array) -> _Array:
    mean: _Array = np.sum(
        [share * _of(child)[rows] for child, share in zip(children, shares, strict=True) if share], axis=0
    )
    return mean


def _weights(children: Sequence[Child], shares: _Array, keep: bool = False) -> dict[int, float]:
    """By iteration, the heaviest first; those without weight are left out unless they are to be kept."""
    order = sorted(range(len(children)), key=lambda i: (-shares[i], children[i].iteration))
    return {children[i].iteration: float(shares[i]) for i in order if shares[i] > 0 or keep}


def stack_features(votes: Sequence[_Array]) -> _Array:
    """What a meta learner sees of its members' predictions, shape (n, columns); the columns of a member are together.

    Of probabilities, their logarithms less the row's mean, of two classes only the second; of values, how far each
    is from the mean of all members.
    """
    if votes[0].ndim == 1:
        columns = np.column_stack(votes)
        return np.asarray(columns - columns.mean(axis=1, keepdims=True))
    logarithms = [np.log(np.clip(vote, _LEAST_PROBABILITY, None)) for vote in votes]
    centered = [values - values.mean(axis=1, keepdims=True) for values in logarithms]
    first = 1 if centered[0].shape[1] == 2 else 0
    return np.column_stack([2 * values[:, 1:] if first else values for values in centered])


def stack_predictions(meta: Any, features: _Array, base: _Array, scale: float) -> _Array:
    """Probabilities by a meta learner, or values: the members' mean and what it adds."""
    if base.ndim == 1:
        return np.asarray(base + scale * meta.predict(features / scale))
    predictions = np.zeros_like(base)
    predictions[:, meta.classes_] = meta.predict_proba(features)
    return predictions


def _learned(features: _Array, base: _Array, judged: _Judged, rows: _Array, settings: Settings, scale: float) -> Any:
    """A meta learner fitted to some of the scored rows."""
    weights = {} if judged.weights is None else {"sample_weight": judged.weights[rows]}
    truth = judged.truth[rows] if judged.classes is not None else (judged.truth[rows] - base) / scale
    kind, arguments = settings.stack_meta_learner_type, settings.stack_meta_learner_kwargs
    meta = meta_learner(settings.task, kind, arguments, truth, n_classes=base.shape[-1])
    return meta.fit(features / scale, truth, **weights)


class _OfFitted(BaseEstimator):  # type: ignore[misc]
    """A model of members that were fitted before."""

    def fit(self, X: Any, y: Any = None) -> NoReturn:  # noqa: ARG002
        """Refuse: the members were fitted by the search that made this model."""
        raise ModelError("This model is made of fitted members and is not fitted again.", "Start a new search instead.")


class _PreFitted(_OfFitted):
    """Members that were fitted before, and the weights of their votes.

    Parameters
    ----------
    estimators : list of (str, estimator)
        Iteration of a child, and its fitted pipeline.
    weights : list of float
        One for each estimator.
    """

    def __init__(self, estimators: list[tuple[str, Any]], weights: list[float]) -> None:
        self.estimators = estimators
        self.weights = weights

    def __sklearn_is_fitted__(self) -> bool:
        return bool(self.estimators)


class PreFittedSoftVotingClassifier(ClassifierMixin, _PreFitted):  # type: ignore[misc]
    """A classifier whose probabilities are the weighted mean of its members'."""

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The sorted labels."""
        return np.asarray(self.estimators[0][1].classes_)

    def predict_proba(self, X: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Probabilities, shape (n, C), in the order of `classes_`."""
        check_is_fitted(self)
        votes = [estimator.predict_proba(X) for _, estimator in self.estimators]
        return np.asarray(np.average(votes, axis=0, weights=self.weights))

    def predict(self, X: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        """The labels with the greatest probability, shape (n,)."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])


class PreFittedVotingRegressor(RegressorMixin, _PreFitted):  # type: ignore[misc]
    """A regressor whose predictions are the weighted mean of its members'."""

    def predict(self, X: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Values, shape (n,)."""
        check_is_fitted(self)
        votes = [estimator.predict(X) for _, estimator in self.estimators]
        return np.asarray(np.average(votes, axis=0, weights=self.weights))


class _Stack(_OfFitted):
    """Members that were fitted before, and a meta learner of their predictions.

    Parameters
    ----------
    base_learners : list of (str, estimator)
        Iteration of a child, and its fitted pipeline.
    meta_learner : estimator
        Fitted to `stack_features`.
    scale : float
        Of a regression: the unit in which the meta learner computes.
    """

    def __init__(self, base_learners: list[tuple[str, Any]], meta_learner: Any, scale: float = 1.0) -> None:
        self.base_learners = base_learners
        self.meta_learner = meta_learner
        self.scale = scale

    def __sklearn_is_fitted__(self) -> bool:
        return bool(self.base_learners)

    def _stacked(self, votes: list[_Array]) -> _Array:
        check_is_fitted(self)
        features, base = stack_features(votes), np.mean(votes, axis=0)
        return stack_predictions(self.meta_learner, features, base, self.scale)


class StackEnsembleClassifier(ClassifierMixin, _Stack):  # type: ignore[misc]
    """A classifier that has learned from its members' probabilities."""

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The sorted labels."""
        return np.asarray(self.base_learners[0][1].classes_)

    def predict_proba(self, X: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Probabilities, shape (n, C), in the order of `classes_`."""
        return self._stacked([learner.predict_proba(X) for _, learner in self.base_learners])

    def predict(self, X: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        """The labels with the greatest probability, shape (n,)."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])


class StackEnsembleRegressor(RegressorMixin, _Stack):  # type: ignore[misc]
    """A regressor that has learned from its members' values."""

    def predict(self, X: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Values, shape (n,)."""
        return self._stacked([np.asarray(learner.predict(X)) for _, learner in self.base_learners])
