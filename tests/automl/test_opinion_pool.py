from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from nbhelpers.automl.ensemble import stack_features
from nbhelpers.automl.opinion_pool import OpinionPool


def opinions(n_classes: int, n_rows: int = 3000, sharpness: tuple[float, ...] = (1.0, 0.5)) -> tuple[list, np.ndarray]:
    """Members whose logits are those of the truth, times a sharpness each, and some noise of their own."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n_rows, n_classes))
    truth = np.array([rng.choice(n_classes, p=p) for p in softmax(logits, axis=1)])
    return [softmax(s * logits + rng.normal(scale=0.1, size=logits.shape), axis=1) for s in sharpness], truth


@pytest.mark.parametrize("n_classes", [2, 4])
def test_timid_members_are_made_bolder(n_classes):
    members, truth = opinions(n_classes, sharpness=(0.4, 0.4))
    X = stack_features(members)
    pool = OpinionPool(n_classes).fit(X, truth)
    assert pool.coef_.sum() == pytest.approx(1 / 0.4, rel=0.15)
    assert log_loss(truth, pool.predict_proba(X)) < log_loss(truth, np.mean(members, axis=0)) - 0.02


@pytest.mark.parametrize("n_classes", [2, 4])
def test_without_rows_to_speak_of_it_is_the_geometric_mean(n_classes):
    members, truth = opinions(n_classes)
    X = stack_features(members)
    pool = OpinionPool(n_classes, precision=1e9).fit(X, truth)
    geometric = np.exp(np.mean(np.log(members), axis=0))
    assert np.allclose(pool.predict_proba(X), geometric / geometric.sum(axis=1, keepdims=True), atol=1e-6)


def test_of_two_classes_it_is_a_logistic_regression():
    members, truth = opinions(2)
    X = stack_features(members)
    weights = np.where(truth == 1, 3.0, 1.0)
    pool = OpinionPool(2, precision=1e-9).fit(X, truth, weights)
    free = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(X, truth, weights)
    assert np.allclose(pool.predict_proba(X), free.predict_proba(X), atol=1e-3)
    assert (pool.predict(X) == free.predict(X)).mean() > 0.999


def test_only_the_ratios_of_weights_matter():
    members, truth = opinions(4, n_rows=200)
    X, weights = stack_features(members), np.linspace(1, 2, 200)
    one, other = (OpinionPool(4).fit(X, truth, factor * weights) for factor in (1, 1000))
    assert np.allclose(one.coef_, other.coef_)
    assert not np.allclose(one.coef_, OpinionPool(4).fit(X, truth).coef_)
