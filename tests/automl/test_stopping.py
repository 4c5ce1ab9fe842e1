from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from xgboost import XGBClassifier, XGBRegressor

from nbhelpers.automl.stopping import PARTS, EarlyStoppedClassifier, EarlyStoppedRegressor

pytestmark = pytest.mark.filterwarnings("error")

N = 240
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3))
NOISY = X[:, 0] + RNG.normal(size=N)
LABELS = np.where(NOISY > 0, "yes", "no")

CLASSIFIERS = [
    LGBMClassifier(n_estimators=400, min_child_samples=5, verbose=-1, n_jobs=1, random_state=3),
    XGBClassifier(n_estimators=400, n_jobs=1, random_state=3),
    HistGradientBoostingClassifier(max_iter=400, random_state=3),
    MLPClassifier(hidden_layer_sizes=(8,), batch_size=64, learning_rate_init=0.1, random_state=3),
]
REGRESSORS = [
    LGBMRegressor(n_estimators=400, min_child_samples=5, verbose=-1, n_jobs=1, random_state=3),
    XGBRegressor(n_estimators=400, n_jobs=1, random_state=3),
    HistGradientBoostingRegressor(max_iter=400, random_state=3),
    MLPRegressor(hidden_layer_sizes=(8,), batch_size=64, learning_rate_init=0.1, random_state=3),
]
BOTH = [
    pytest.param(wrapper, estimator, target, id=type(estimator).__name__)
    for wrapper, estimators, target in (
        (EarlyStoppedClassifier, CLASSIFIERS, LABELS),
        (EarlyStoppedRegressor, REGRESSORS, NOISY),
    )
    for estimator in estimators
]


def outcome(model: Any, rows: Any = X) -> Any:
    return model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)


@pytest.mark.parametrize(("wrapper", "estimator", "target"), BOTH)
def test_a_model_stops_long_before_it_has_learned_the_noise_by_heart(wrapper, estimator, target):
    model = wrapper(estimator).fit(X, target)
    assert len(model.models_) == 1
    assert 1 <= model.rounds_ < 150
    assert model.score(X, target) > 0.3


@pytest.mark.parametrize(("wrapper", "estimator", "target"), BOTH)
def test_a_bag_is_the_mean_of_models_of_which_each_misses_other_rows(wrapper, estimator, target):
    bag = wrapper(estimator, 3).fit(X, target)
    assert len(bag.models_) == 3
    parts = [outcome(wrapper(estimator).fit(X, target)), *[outcome(model) for model in bag.models_]]
    scale = getattr(bag, "scale_", 1.0), getattr(bag, "mean_", 0.0)
    np.testing.assert_allclose(parts[1] * scale[0] + scale[1], parts[0], rtol=1e-5)  # the first is a bag of one
    assert not np.allclose(parts[1], parts[2])
    assert not np.allclose(parts[2], parts[3])
    np.testing.assert_allclose(outcome(bag), np.mean(parts[1:], axis=0) * scale[0] + scale[1], rtol=1e-5)


@pytest.mark.parametrize(("wrapper", "estimator", "target"), BOTH)
def test_fixed_rounds_are_trained_once_on_all_rows(wrapper, estimator, target):
    few, more = (wrapper(estimator, 3, rounds).fit(X, target) for rounds in (3, 9))
    assert (len(few.models_), few.rounds_, more.rounds_) == (1, 3, 9)
    model = more.models_[0]
    match type(model).__name__[:3]:
        case "LGB":
            assert model.n_estimators_ == 9
        case "XGB":
            assert model.get_booster().num_boosted_rounds() == 9
        case "His":
            assert model.n_iter_ == 9
        case _:
            assert model.t_ == 9 * N  # rows seen
    assert not np.allclose(outcome(few), outcome(more))


@pytest.mark.parametrize(("wrapper", "estimator", "_"), BOTH)
@pytest.mark.parametrize("rounds", [None, 20])
def test_weights_decide_what_is_learned(wrapper, estimator, _, rounds):
    rows = np.tile(X[:120], (2, 1))
    opposite = np.concatenate([NOISY[:120], -NOISY[:120]])
    y = np.where(opposite > 0, "yes", "no") if wrapper is EarlyStoppedClassifier else opposite
    heavy = np.repeat([1.0, 0.01], 120)
    truth, lies = (wrapper(estimator, 2, rounds).fit(rows, y, sample_weight=w) for w in (heavy, heavy[::-1]))
    assert truth.score(rows[:120], y[:120]) > truth.score(rows[120:], y[120:]) + 0.2
    assert lies.score(rows[120:], y[120:]) > lies.score(rows[:120], y[:120]) + 0.2


@pytest.mark.parametrize(("wrapper", "estimator", "target"), BOTH)
def test_equal_weights_are_as_none(wrapper, estimator, target):
    plain = wrapper(estimator).fit(X, target)
    weighted = wrapper(estimator).fit(X, target, sample_weight=np.ones(N))
    np.testing.assert_allclose(outcome(plain), outcome(weighted), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("labels", [LABELS, NOISY > 0, 5 * np.digitize(NOISY, [-0.5, 0.5])], ids=["str", "bool", "int"])
def test_classes_are_the_user_s_labels_and_probabilities_sum_to_one(estimator, labels):
    model = EarlyStoppedClassifier(estimator, 2).fit(X, labels)
    assert model.classes_.tolist() == np.unique(labels).tolist()
    assert model.predict(X).dtype == labels.dtype
    probabilities = model.predict_proba(X)
    assert probabilities.dtype == float
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    assert (model.predict(X) == model.classes_[probabilities.argmax(axis=1)]).all()


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("rare", [1, 2])
def test_a_rare_class_is_always_among_the_rows_to_train_on(estimator, rare):
    labels = np.concatenate([np.repeat("rare", rare), LABELS[rare:]])
    model = EarlyStoppedClassifier(estimator, PARTS).fit(X, labels)  # each row is once left out
    assert [each.predict_proba(X[:1]).shape for each in model.models_] == [(1, 3)] * PARTS


@pytest.mark.parametrize("estimator", REGRESSORS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize(("factor", "offset"), [(1e-9, 0.0), (1e12, 3e12), (1.0, 1e9), (-1.0, 0.0)])
def test_the_unit_of_a_quantity_changes_nothing_but_the_unit(estimator, factor, offset):
    plain = EarlyStoppedRegressor(estimator).fit(X, NOISY)
    other = EarlyStoppedRegressor(estimator).fit(X, factor * NOISY + offset)
    if factor > 0:
        expected = pytest.approx(plain.predict(X), abs=1e-3)
        assert (other.predict(X) - offset) / factor == expected
    assert other.predict(X).dtype == float
    assert other.score(X, factor * NOISY + offset) > 0.3


def test_a_network_keeps_the_state_of_its_best_epoch():
    # The more it trains on so few rows, the worse it predicts the others; the last state would be far off.
    network = MLPRegressor(hidden_layer_sizes=(64,), learning_rate_init=0.05, batch_size=16, random_state=0)
    rng = np.random.default_rng(1)
    rows, noise = rng.normal(size=(40, 20)), rng.normal(size=40)
    stopped = EarlyStoppedRegressor(network).fit(rows, noise)
    assert stopped.models_[0].t_ > 35 * stopped.rounds_  # it has seen the 35 rows more often
    assert stopped.score(rows, noise) < 0.99


def test_a_model_is_fitted_where_no_row_can_be_kept_out():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 3)), np.arange(20)
    booster = LGBMClassifier(verbose=-1, min_child_samples=1, random_state=0)
    model = EarlyStoppedClassifier(booster, n_models=2).fit(X, y)
    assert model.predict_proba(X).shape == (20, 20)
    assert model.rounds_ > 0
