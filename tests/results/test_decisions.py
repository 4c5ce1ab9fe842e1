from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import brier_score_loss

from nbhelpers.errors import UserErrorException
from nbhelpers.results.decisions import calibration_errors, choose_thresholds, limits_table, place_of, threshold_table


@pytest.mark.parametrize(
    ("classes", "counts", "place"),
    [(["no", "yes"], [3, 90], 1), (["a", "b", "c"], [40, 12, 30], 1), (["a", "b", "c"], [9, 8, 3], 1)],
)
def test_the_class_that_is_looked_for_is_the_second_of_two_or_the_rarest_with_ten_rows(classes, counts, place):
    assert place_of(classes, np.repeat(range(len(counts)), counts)) == place


@pytest.mark.parametrize("positive", [1, 1.0, "1"])
def test_a_class_is_found_by_its_value_or_its_text(positive):
    assert place_of([0, 1, 2], np.array([0]), positive) == 1
    assert place_of(["0", "1", "2"], np.array([0]), 1) == 1


def test_an_unknown_class_is_refused_with_those_that_there_are():
    with pytest.raises(UserErrorException, match=r"no class 'maybe'(.|\n)*'no', 'yes'"):
        place_of(["no", "yes"], np.array([0, 1]), "maybe")


def test_thresholds_can_be_read_off_a_tiny_table():
    positive = np.array([False, False, True, True])
    probabilities = np.array([0.1, 0.4, 0.35, 0.8])
    chosen = choose_thresholds(positive, probabilities, miss_cost=0.5)
    assert chosen == {"default": 0.5, "best F1": 0.35, "best balanced accuracy": 0.8, "least cost": 0.8}
    table = threshold_table(positive, probabilities, chosen, 0.5)
    assert table.loc["default", ["misses", "false_alarms", "flagged", "cost"]].tolist() == [1, 0, 0.25, 0.125]
    assert table.loc["best F1", ["precision", "recall", "f1"]].tolist() == pytest.approx([2 / 3, 1, 0.8])


def test_thresholds_do_without_a_class_that_does_not_occur():
    for positive in (np.zeros(3, dtype=bool), np.ones(3, dtype=bool)):
        table = threshold_table(positive, np.array([0.2, 0.5, 0.9]), {"default": 0.5}, 1.0)
        assert np.isfinite(table).all(axis=None)


def test_the_brier_score_of_two_classes_is_that_of_one_of_them():
    rng = np.random.default_rng(0)
    truth, p = rng.integers(0, 2, 200), rng.random(200)
    found = calibration_errors(truth, np.column_stack([1 - p, p]))
    assert found["brier_score"] == pytest.approx(brier_score_loss(truth, p))


def test_the_brier_score_of_more_classes_sums_over_them():
    output = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    assert calibration_errors(np.array([0, 1]), output)["brier_score"] == pytest.approx((0.25 + 2 * 0.0625) / 2)


def test_the_calibration_error_is_the_distance_of_confidence_and_accuracy_by_bin():
    output = np.array([[0.95, 0.05]] * 10 + [[0.25, 0.75]] * 4)
    truth = np.array([0] * 8 + [1] * 2 + [1] * 4)
    expected = (10 * (0.95 - 0.8) + 4 * (1 - 0.75)) / 14
    assert calibration_errors(truth, output)["expected_calibration_error"] == pytest.approx(expected)


def test_sure_and_right_probabilities_are_calibrated():
    found = calibration_errors(np.array([0, 1]), np.eye(2))
    assert found == {"brier_score": 0, "expected_calibration_error": 0}


def test_bias_and_slope_of_a_regression_are_those_of_a_line():
    rng = np.random.default_rng(0)
    output = rng.normal(5, 2, 100)
    truth = 3 * output + rng.normal(0, 1, 100)
    found = calibration_errors(truth, output)
    assert found["slope"] == pytest.approx(LinearRegression().fit(output[:, None], truth).coef_[0])
    assert found["bias"] == pytest.approx((truth - output).mean())


def test_a_constant_prediction_has_no_slope():
    assert np.isnan(calibration_errors(np.array([1.0, 2.0]), np.array([1.5, 1.5]))["slope"])


def test_limits_are_quantiles_of_the_error_with_and_without_the_model():
    table = limits_table(np.arange(101.0), np.arange(101.0) + 1)
    assert table["model"].tolist() == [1, 1, 1, 1]
    assert table.loc["50%", "always the mean"] == 25
