from __future__ import annotations

import copy
import hashlib
import re
from pathlib import Path

import pytest

import nbhelpers.local as ml
from nbhelpers import results
from nbhelpers.local.models import load
from nbhelpers.results.card import model_card

from .small_runs import bank_rows, house_rows


def section(card, title):
    return re.search(rf"^#+ {title}\n\n(.*?)(?=^#|\Z)", card, re.DOTALL | re.MULTILINE)[1]


@pytest.fixture(scope="module")
def bank_report(bank_run, bank_test, bank_train):
    return results.test_report(bank_run, bank_test, train=bank_train)


@pytest.fixture(scope="module")
def bank_card(bank_run, bank_report):
    return model_card(bank_run, bank_report)


@pytest.fixture(scope="module")
def local_run(tmp_path_factory):
    """A finished run of three iterations, the last an ensemble, in a workspace of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBHELPERS_HOME", str(tmp_path_factory.mktemp("workspace")))
        workspace = ml.Workspace.from_config()
        target = ml.ComputeTarget.create(workspace, "cpu", ml.AmlCompute.provisioning_configuration(max_nodes=1))
        rows = ml.Dataset.Tabular.register_pandas_dataframe(
            bank_rows(300, 1), workspace.get_default_datastore(), "bank", description="Rows | of a test"
        )
        config = ml.AutoMLConfig(
            "classification",
            compute_target=target,
            training_data=rows,
            label_column_name="y",
            primary_metric="AUC_weighted",
            iterations=3,
            n_cross_validations=2,
        )
        pipeline = ml.Pipeline(workspace, [ml.AutoMLStep("automl_module", config)])
        run = ml.Experiment(workspace, "bank").submit(
            pipeline, tags={"dataset": "bank:1", "test_dataset": "bank-test:2", "synthetic": "yes"}
        )
        run.wait_for_completion(show_output=False)
        yield run


@pytest.fixture(scope="module")
def local_card(local_run):
    return model_card(local_run, results.test_report(local_run, bank_rows(200, 2)))


def test_a_card_opens_with_what_the_model_is_and_how_well_it_did(bank_card, bank_report):
    score = bank_report.metrics["AUC_weighted"]
    assert bank_card.startswith("# Model card\n\nStandardScaler, ")
    assert f"AUC_weighted is {score:.4f} on the test data" in bank_card


def test_a_card_is_text_that_a_notebook_shows_as_markdown(bank_card, tmp_path):
    (tmp_path / "card.md").write_text(bank_card)
    assert bank_card._repr_markdown_() == bank_card


def test_metrics_are_those_of_the_test_and_of_validation(bank_card, bank_report):
    table = section(bank_card, "Metrics")
    for name, row in bank_report.comparison.iterrows():
        assert f"| {name} | {row['validation']:.4f} | {row['test']:.4f} |" in table


def test_limits_are_the_checks_that_noticed_something(bank_card, bank_report):
    checks = bank_report.checks().set_index("check")
    limits, passed = section(bank_card, "Intended use and limits").split("\nPassed: ")
    assert checks.loc["leakage hint", "finding"] in limits
    for name, check in checks.iterrows():
        assert (f"- {name} (" in limits) == (check["status"] != "passed")
        assert (name in passed) == (check["status"] == "passed")
    assert "- Class balancing detection (alerted): A small class was found." in limits
    assert "synthetic" not in limits


def test_what_a_run_does_not_tell_is_left_out(bank_card):
    assert "The run does not say which data set" in bank_card
    assert "### Settings" not in bank_card
    assert "### Members" not in bank_card
    assert not re.search(r"\b(nan|None)\b", bank_card)


def test_a_card_of_a_regression(house_run):
    card = model_card(house_run, results.test_report(house_run, house_rows(100, seed=2)))
    assert "It predicts `y` (a number)" in card
    assert "r2_score" in section(card, "Metrics")


def test_a_long_list_of_columns_is_cut(bank_run, bank_report, monkeypatch):
    monkeypatch.setattr("nbhelpers.results.card.MAX_COLUMNS", 2)
    assert "the columns `age`, `duration` and 3 more." in model_card(bank_run, bank_report)


def test_data_settings_and_members_of_a_local_run(local_run, local_card):
    data = section(local_card, "Data")
    assert data.startswith("Trained on `bank`, version 1. Rows | of a test\n\nTested on `bank-test`, version 2.\n")
    assert "| n_cross_validations | 2 |" in section(local_card, "Settings")
    members = results.ensemble(local_run)
    assert ("### Members of the ensemble" in local_card) == bool(len(members))


def test_members_of_an_ensemble_are_named_with_their_weights(bank_run, bank_report):
    run = copy.deepcopy(bank_run)
    run.step.children[3].properties |= {"ensembled_iterations": "[0, 1]", "ensemble_weights": "[0.25, 0.75]"}
    members = section(model_card(run, bank_report), "Members of the ensemble").splitlines()[2:]
    assert [line.split(" | ")[:2] for line in members if line] == [["| 1", "0.7500"], ["| 0", "0.2500"]]


@pytest.mark.usefixtures("local_card")  # made before the data of this test is registered
def test_data_is_called_synthetic_by_the_tag_of_the_run(local_card):
    assert "- The training data is synthetic" in section(local_card, "Intended use and limits")


def test_data_of_another_version_is_not_described(local_run):
    workspace = local_run.experiment.workspace
    ml.Dataset.Tabular.register_pandas_dataframe(
        bank_rows(300, 4), workspace.get_default_datastore(), "bank", description="Other rows"
    )
    card = model_card(local_run, results.test_report(local_run, bank_rows(50, 2)))
    assert section(card, "Data").startswith("Trained on `bank`, version 1.\n")


def test_the_code_on_a_card_loads_the_model(local_run, local_card, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", local_card, re.DOTALL):
        exec(block, names)  # noqa: S102
    rows = bank_rows(20, 3)
    expected = results.predict(local_run, rows)["prediction"]
    assert (names["model"].predict(rows.drop(columns="y")) == expected).all()
    (file,) = (path for path in Path("model").rglob("*") if path.is_file())
    assert hashlib.sha256(file.read_bytes()).hexdigest() in local_card
    monkeypatch.setenv("NBHELPERS_HOME", str(tmp_path / "other"))
    assert (load(file, trust=True).predict(rows.drop(columns="y")) == expected).all()
