from __future__ import annotations

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

from nbhelpers.automl import TRUSTED_TYPES
from nbhelpers.automl.meta_learners import META_LEARNERS, meta_learner, meta_learner_problems

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize(
    ("task", "kind"), [(task, kind) for task, kinds in META_LEARNERS.items() for kind in (None, *kinds)]
)
def test_each_learns_with_weights_and_can_be_stored(task, kind):
    rng = np.random.default_rng(0)
    truth = np.arange(90) % 2 if task == "classification" else rng.normal(size=90)
    features = rng.normal(size=(90, 2)) + 3 * truth[:, np.newaxis]
    model = meta_learner(task, kind, None, truth, n_classes=2).fit(features, truth, sample_weight=np.ones(90))
    loaded = skops.io.loads(skops.io.dumps(model), trusted=list(TRUSTED_TYPES))
    np.testing.assert_array_equal(loaded.predict(features), model.predict(features))
    assert np.corrcoef(model.predict(features), truth)[0, 1] > 0.5


def test_arguments_replace_the_defaults():
    truth = np.arange(60) % 2
    assert meta_learner("classification", "LogisticRegression", {}, truth).C == 0.03
    assert meta_learner("classification", "LogisticRegression", {"C": 2.0}, truth).C == 2.0


def test_a_class_of_few_rows_is_not_cross_validated():
    arguments = {"Cs": 3, "fit_intercept": False}
    enough, few = np.arange(60) % 2, np.array([0] * 60 + [1] * 4)
    assert isinstance(meta_learner("classification", "LogisticRegressionCV", arguments, enough), LogisticRegressionCV)
    plain = meta_learner("classification", "LogisticRegressionCV", arguments, few)
    assert isinstance(plain, LogisticRegression)
    assert not plain.fit_intercept


@pytest.mark.parametrize(
    ("task", "kind", "arguments", "told"),
    [
        ("classification", "LightGBMRegressor", None, "is not one of 'LogisticRegression'"),
        ("regression", "LogisticRegression", None, "is not one of 'ElasticNet'"),
        ("regression", "ElasticNet", ["alpha"], "must be a dict"),
        ("regression", None, {"alpha": 1}, "needs a stack_meta_learner_type"),
        (
            "regression",
            "ElasticNet",
            {"alhpa": 1},
            "'alhpa', which is no argument of ElasticNet. Did you mean 'alpha'?",
        ),
        ("classification", "LightGBMClassifier", {"zzz": 1}, "It has: boosting_type"),
        ("regression", "ElasticNet", {"alpha": -1}, "do not suit ElasticNet"),
        ("classification", "LogisticRegression", {"solver": "nearest"}, "do not suit LogisticRegression"),
        ("classification", "LogisticRegression", {"class_weight": {1, 2}}, "not JSON serializable"),
    ],
)
def test_what_cannot_be_used_is_told_with_the_remedy(task, kind, arguments, told):
    (problem,) = meta_learner_problems(task, kind, arguments)
    assert told in problem


def test_what_can_be_used_is_no_problem():
    assert meta_learner_problems("classification", None, None) == []
    assert meta_learner_problems("classification", "LogisticRegressionCV", {"Cs": 4, "scoring": "roc_auc"}) == []
    assert meta_learner_problems("regression", "LightGBMRegressor", {"n_estimators": 5}) == []
