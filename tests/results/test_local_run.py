"""The same functions on a run that the local workspace really made."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import nbhelpers.local as ml
from nbhelpers import results
from nbhelpers.errors import UserErrorException
from nbhelpers.metrics import CLASSIFICATION_METRICS

from .small_runs import bank_rows


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """An experiment with one finished run of four iterations on the registered data set bank:1."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBHELPERS_HOME", str(tmp_path_factory.mktemp("workspace")))
        workspace = ml.Workspace.from_config()
        experiment = ml.Experiment(workspace, "bank")
        with pytest.raises(UserErrorException, match="no pipeline run at all"):
            results.find_run(ml, experiment)
        target = ml.ComputeTarget.create(workspace, "cpu", ml.AmlCompute.provisioning_configuration(max_nodes=1))
        store = workspace.get_default_datastore()
        config = ml.AutoMLConfig(
            "classification",
            compute_target=target,
            training_data=ml.Dataset.Tabular.register_pandas_dataframe(bank_rows(500, 1), store, "bank"),
            label_column_name="y",
            primary_metric="AUC_weighted",
            iterations=4,
            n_cross_validations=3,
        )
        pipeline = ml.Pipeline(workspace, [ml.AutoMLStep("automl_module", config)])
        experiment.submit(pipeline).wait_for_completion(show_output=False)
        yield experiment


@pytest.fixture(scope="module")
def run(experiment):
    return results.find_run(ml, experiment)


def _chosen(run):
    """The row of the model in the leaderboard, whose first need not be the one that generalises best."""
    best, _ = results.best_model(run)
    return results.leaderboard(run).set_index("iteration", drop=False).loc[int(best.properties["iteration"])]


def test_an_unknown_id_is_refused_with_the_notebook_to_run(experiment):
    with pytest.raises(UserErrorException, match=r"'nope'(.|\n)*03_train.ipynb"):
        results.find_run(ml, experiment, "nope")


def test_a_published_pipeline_is_found_by_its_id_or_as_the_latest_active_one(run):
    workspace = run.experiment.workspace
    with pytest.raises(UserErrorException, match=r"no active published pipeline(.|\n)*06_publish.ipynb"):
        results.find_published(ml, workspace)
    first, second = (run.publish_pipeline(name, "", "1") for name in ("first", "second"))
    assert results.find_published(ml, workspace).id == second.id
    assert results.find_published(ml, workspace, first.id).name == "first"
    second.disable()
    assert results.find_published(ml, workspace).id == first.id
    with pytest.raises(UserErrorException, match=r"is Disabled(.|\n)*enable()"):
        results.find_published(ml, workspace, second.id)
    with pytest.raises(UserErrorException, match=r"no published pipeline 'nope'(.|\n)*06_publish.ipynb"):
        results.find_published(ml, workspace, "nope")


def test_the_tables_agree_with_each_other(run):
    board = results.leaderboard(run)
    assert sorted(board["iteration"]) == [0, 1, 2, 3]
    assert board["AUC_weighted"].is_monotonic_decreasing
    assert (board["fold_std"] > 0).all()
    assert (board["fit_seconds"] > 0).all()
    table = results.metrics_table(run)
    assert list(table.index) == sorted(CLASSIFICATION_METRICS)
    for _, child in board.iterrows():
        assert table.loc["AUC_weighted", child["iteration"]] == pytest.approx(child["AUC_weighted"])
    assert results.timeline(run)["best_so_far"].iloc[-1] == board["AUC_weighted"].iloc[0]
    best = _chosen(run)
    assert f"iteration {best['iteration']}, AUC_weighted {best['AUC_weighted']:.4f} ±" in results.verdict(run)


def test_the_weights_of_an_ensemble_sum_to_one(run):
    (voting,) = results.leaderboard(run).query("algorithm == 'VotingEnsemble'")["iteration"]
    members = results.ensemble(run, voting)
    assert members["weight"].sum() == pytest.approx(1)
    assert set(members["iteration"]) <= set(range(voting))


def test_the_way_to_the_best_model_is_told(run):
    ways = results.selection(run)
    best, _ = results.best_model(run)
    assert ways.loc[0, "iteration"] == int(best.properties["iteration"])
    assert ways["way"].is_unique
    assert "Best child alone" in set(ways["way"])
    assert (ways["loss"] > 0).all()


def test_what_children_have_stored_is_read_again(run):
    board = results.leaderboard(run).set_index("iteration")
    rows = bank_rows(500, 1)
    for iteration in board.index:
        found = results.out_of_fold(run, iteration)
        assert found["true"].tolist() == rows["y"].iloc[found.index].tolist()
        positive = found["true"] == "yes"
        by_fold = [
            roc_auc_score(positive[found["fold"] == k], found.loc[found["fold"] == k, "probability_yes"])
            for k in range(3)
        ]
        assert np.mean(by_fold) == pytest.approx(board.loc[iteration, "AUC_weighted"])
    assert len(results.plot_curves(run, list(board.index)).axes) == 4
    assert results.plot_correlation(run).axes[0].images
    assert results.slices(run).loc[0, "rows"] == 500
    assert results.thresholds(run)["cost"].notna().all()
    assert (board["fitted"].drop(board.index[board["algorithm"].str.endswith("Ensemble")]) != "").all()


def test_the_importance_of_training_names_the_columns_of_the_table(run):
    table = results.importance(run)
    assert set(table["feature"].head(2)) == {"duration", "poutcome"}
    assert set(table["feature"]) == set(bank_rows(1, 1).columns) - {"y"}


def test_guardrails_have_a_description(run):
    table = results.guardrails(run).set_index("type")
    assert table.loc["Class balancing detection", "status"] == "Alerted"
    assert "yes" in table.loc["Class balancing detection", "details"]
    assert (table["description"] != "").all()


def test_the_best_model_is_tested_on_new_rows(run):
    rows = bank_rows(300, 2)
    report = results.test_report(run, rows)
    assert report.label == "y"
    assert report.metrics["AUC_weighted"] > 0.9
    assert report.metrics["accuracy"] == pytest.approx((results.predict(run, rows)["prediction"] == rows["y"]).mean())
    assert report.split["rows"].to_dict() == {"training": 500, "test": 300}
    assert set(report.checks()["status"]) <= {"passed", "noticed"}
    assert report.comparison.loc["AUC_weighted", "validation"] == pytest.approx(_chosen(run)["AUC_weighted"])
    assert report.importance().loc[0, "feature"] == "duration"


@pytest.mark.parametrize("plot", ["plot_scores", "plot_tradeoff"])
def test_the_search_is_drawn(run, plot):
    figure = getattr(results, plot)(run)
    legend = (figure.legends or [figure.axes[0].get_legend()])[0]
    algorithms = set(results.leaderboard(run)["algorithm"])
    assert {text.get_text() for text in legend.get_texts()[1:]} == algorithms


def test_decisions_and_worst_errors_are_those_of_the_predictions(run):
    rows = bank_rows(300, 2)
    report = results.test_report(run, rows)
    predictions = results.predict(run, rows)
    assert report.decisions().loc[("default", "test"), "flagged"] == (predictions["prediction"] == "yes").mean()
    worst = report.worst(3)
    right = np.where(rows["y"] == "yes", predictions["probability_yes"], predictions["probability_no"])
    assert worst.index.tolist() == np.argsort(right, kind="stable")[:3].tolist()
