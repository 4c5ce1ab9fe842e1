"""What searches find with settings that choose rows, columns and models."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nbhelpers import results

from .runs import pipeline_of

#: Models that take no time.
QUICK = {"allowed_models": ["LogisticRegression", "DecisionTree"], "blocked_models": None}


def searched(ml: Any, ws: Any, target: Any, **settings: Any) -> tuple[Any, list[dict[str, Any]]]:
    """The step of a run that has finished, and the properties of its children."""
    run = ml.Experiment(ws, "searches").submit(pipeline_of(ml, target, **(QUICK | settings)))
    assert run.wait_for_completion(show_output=False) == "Finished"
    step = results.automl_step(run)
    children = [child.properties for child in step.get_children()]
    return step, sorted(children, key=lambda facts: int(facts["iteration"]))


@pytest.fixture(scope="module")
def marked(ml: Any, url: str) -> Any:
    return ml.Dataset.Tabular.from_delimited_files(f"{url}/marked.csv")


def features(step: Any) -> list[str]:
    """The columns that the best model takes."""
    return list(step.get_output()[1].feature_names_in_)


def test_given_validation_data_judges_models(ml: Any, ws: Any, target: Any, dataset: Any, url: str) -> None:
    valid = ml.Dataset.Tabular.from_delimited_files(f"{url}/valid.csv")
    step, children = searched(ml, ws, target, training_data=dataset, validation_data=valid, n_cross_validations=None)
    assert step.get_properties()["training_type"] == "TrainAndValidation"
    assert {len(json.loads(facts["fold_scores"])) for facts in children} == {1}
    assert features(step) == ["age", "job", "duration"]


def test_columns_say_how_to_split_and_are_no_features(ml: Any, ws: Any, target: Any, marked: Any) -> None:
    splits = {"cv_split_column_names": ["first", "second"], "n_cross_validations": None}
    step, children = searched(ml, ws, target, training_data=marked, **splits)
    assert step.get_properties()["training_type"] == "MeanCrossValidation"
    assert step.get_properties()["num_cross_validation"] == "2"
    assert features(step) == ["age", "job", "duration", "counts"]
    assert {len(json.loads(facts["fold_scores"])) for facts in children} == {2}


def test_random_hold_outs_may_be_several(ml: Any, ws: Any, target: Any, dataset: Any) -> None:
    step, children = searched(ml, ws, target, training_data=dataset, n_cross_validations=3, validation_size=0.2)
    assert step.get_properties()["num_cross_validation"] == "3"
    assert len(json.loads(children[0]["fold_scores"])) == 3


def test_a_column_of_weights_is_no_feature(ml: Any, ws: Any, target: Any, marked: Any) -> None:
    step, _ = searched(ml, ws, target, training_data=marked, weight_column_name="counts")
    assert features(step) == ["age", "job", "duration", "first", "second"]


def test_a_positive_label_has_metrics_of_its_own(ml: Any, ws: Any, target: Any, dataset: Any) -> None:
    step, _ = searched(ml, ws, target, training_data=dataset, positive_label="yes")
    metrics = step.get_best_child().get_metrics()
    assert 0 <= metrics["precision_score_binary"] <= 1
    assert metrics["AUC_binary"] == pytest.approx(metrics["AUC_weighted"])


def test_both_ensembles_come_last_with_azures_names(ml: Any, ws: Any, target: Any, dataset: Any) -> None:
    step, children = searched(ml, ws, target, training_data=dataset, iterations=5, enable_stack_ensemble=True)
    assert [facts["run_algorithm"] for facts in children[-2:]] == ["VotingEnsemble", "StackEnsemble"]
    assert [facts["pipeline_id"] for facts in children[-2:]] == ["__AutoML_Ensemble__", "__AutoML_Stack_Ensemble__"]
    _, model = step.get_output(iteration=4)
    assert list(model.classes_) == ["no", "yes"]


def test_only_allowed_models_are_tried_less_those_blocked(ml: Any, ws: Any, target: Any, dataset: Any) -> None:
    models = {"allowed_models": ["LogisticRegression", "DecisionTree"], "blocked_models": ["LogisticRegression"]}
    _, children = searched(ml, ws, target, training_data=dataset, **models)
    assert {facts["run_algorithm"] for facts in children[:-1]} == {"DecisionTree"}


def test_a_featurization_leaves_out_columns_and_gives_them_purposes(
    ml: Any, ws: Any, target: Any, dataset: Any
) -> None:
    wanted = ml.FeaturizationConfig(drop_columns=["job"])
    wanted.add_column_purpose("age", "Categorical")
    step, _ = searched(ml, ws, target, training_data=dataset, featurization=wanted)
    settings = json.loads(step.get_properties()["AMLSettingsJsonString"])
    assert "job" in str(settings["featurization"])
    assert step.get_output()[1].predict(dataset.to_pandas_dataframe().drop(columns=["y"])).shape == (300,)
