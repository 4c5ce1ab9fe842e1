from __future__ import annotations

import copy

import numpy as np
import pytest
from sklearn.metrics import auc, roc_auc_score

from nbhelpers import results
from nbhelpers.errors import UserErrorException


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def drawn(axes, number=0):
    line = axes.lines[number]
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


def sentence(figure):
    return figure.axes[0].texts[0].get_text()


def test_curves_are_those_of_the_predictions(stored_bank):
    figure = results.plot_curves(stored_bank, 1)
    assert titles(figure) == ["ROC", "Precision and recall", "Calibration, ten bins", "Lift"]
    assert legend(figure) == ["1  StandardScaler, RandomForest", "chance; perfectly calibrated"]
    assert figure.get_suptitle() == "Validation, class yes"
    found = results.out_of_fold(stored_bank, 1)
    positive, probability = found["true"] == "yes", found["probability_yes"]
    roc, recall, calibration, lift = figure.axes
    assert auc(*drawn(roc)) == pytest.approx(roc_auc_score(positive, probability), abs=0.01)
    assert drawn(recall)[0][-1] == 1
    assert drawn(recall)[1][-1] == pytest.approx(positive.mean())
    given, share = drawn(calibration)
    least = probability < 0.1
    assert share[0] == pytest.approx(positive[least].mean(), abs=0.02)
    assert given[0] == pytest.approx(probability[least].mean(), abs=0.02)
    assert drawn(lift)[1][-1] == pytest.approx(1)


def test_by_default_the_best_model_is_drawn_beside_the_best_single_child(stored_bank):
    assert legend(results.plot_curves(stored_bank))[:-1] == ["10  StandardScaler, LogisticRegression"]
    run = copy.deepcopy(stored_bank)
    forest = run.step.children[1]
    run.step.tags["automl_best_child_run_id"] = forest.id
    assert legend(results.plot_curves(run))[:-1] == [
        "1  StandardScaler, RandomForest",
        "10  StandardScaler, LogisticRegression",
    ]


def test_children_may_be_named_by_the_numbers_of_a_table(stored_bank):
    board = results.leaderboard(stored_bank).dropna(subset=["AUC_weighted"])
    assert len(legend(results.plot_curves(stored_bank, board["iteration"]))) == 4
    assert len(legend(results.plot_curves(stored_bank, board["iteration"].iloc[0]))) == 2


def test_curves_of_three_classes_are_of_all_together_or_of_one(stored_classes):
    figure = results.plot_curves(stored_classes, 0)
    assert figure.get_suptitle() == "Validation, all 3 classes together (micro-average)"
    one = results.plot_curves(stored_classes, 0, positive="top")
    assert one.get_suptitle() == "Validation, class top"
    found = results.out_of_fold(stored_classes, 0)
    truth, output = (
        np.array([found["true"] == name for name in ("low", "mid", "top")]).T,
        found.filter(like="probability"),
    )
    assert auc(*drawn(figure.axes[0])) == pytest.approx(
        roc_auc_score(truth.ravel(), output.to_numpy().ravel()), abs=0.01
    )
    assert auc(*drawn(one.axes[0])) == pytest.approx(roc_auc_score(truth[:, 2], output["probability_top"]), abs=0.01)


def test_the_class_is_the_one_that_the_run_looked_for(stored_bank):
    run = copy.deepcopy(stored_bank)
    run.step.properties["AMLSettingsJsonString"] = '{"positive_label": "no"}'
    assert results.plot_curves(run).get_suptitle() == "Validation, class no"
    assert results.plot_curves(run, positive="yes").get_suptitle() == "Validation, class yes"


def test_of_a_regression_residuals_and_means_are_drawn(stored_houses):
    figure = results.plot_curves(stored_houses, [1, 10])
    assert titles(figure) == ["Residuals", "Mean predicted, with its standard deviation"]
    assert legend(figure) == ["1  StandardScaler, RandomForest", "10  StandardScaler, ElasticNet", "perfect"]
    counts = [patch.get_data().values.sum() for patch in figure.axes[0].patches]
    assert counts == [300, 300]
    low, high = figure.axes[0].get_xlim()
    found = results.out_of_fold(stored_houses, 1)
    errors = found["prediction"] - found["true"]
    assert low <= errors.min()
    assert errors.max() <= high


def test_a_child_or_class_that_there_is_not_is_named(stored_bank):
    with pytest.raises(UserErrorException, match=r"no child of iteration 7(.|\n)*0, 1, 2, 10"):
        results.plot_curves(stored_bank, [0, 7])
    with pytest.raises(UserErrorException, match=r"no class 'maybe'(.|\n)*'no', 'yes'"):
        results.plot_curves(stored_bank, positive="maybe")


@pytest.mark.parametrize("iterations", [[], [0] * 9])
def test_none_and_too_many_children_are_refused(stored_bank, iterations):
    with pytest.raises(UserErrorException, match=r"cannot be drawn together(.|\n)*1 to 8"):
        results.plot_curves(stored_bank, iterations)


def test_what_is_not_stored_is_a_sentence(bank_run, house_run, stored_bank):
    for run in (bank_run, house_run):
        assert "has stored no" in sentence(results.plot_curves(run))
    assert sentence(results.plot_curves(stored_bank, [0, 2])) == (
        "Child run 2 has stored no accuracy_table, as it is Failed."
    )
