from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn import metrics as sk
from sklearn.preprocessing import label_binarize

from nbhelpers import metrics
from nbhelpers.errors import DataError, UserErrorException

pytestmark = pytest.mark.filterwarnings("error")


def votes(n: int, n_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Class numbers, and probabilities that know something about them."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(n_classes, n, p=np.arange(1, n_classes + 1) / np.arange(1, n_classes + 1).sum())
    truth[:n_classes] = np.arange(n_classes)
    p = rng.dirichlet(np.ones(n_classes), n) + 0.4 * np.eye(n_classes)[truth]
    return truth, p / p.sum(axis=1, keepdims=True)


@pytest.fixture(params=[(2, ["no", "yes"]), (4, ["a", "b", "c", "d"]), (3, [3, 5, 9])])
def case(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n_classes, labels = request.param
    truth, p = votes(300, n_classes)
    return np.array(labels)[truth], p, np.array(labels)


def test_classification_has_the_21_scalars_as_floats(case):
    values = metrics.classification_metrics(*case)
    assert tuple(values) == metrics.CLASSIFICATION_METRICS
    assert len(values) == 21
    assert all(type(value) is float for value in values.values())


def test_classification_agrees_with_scikit_learn(case):
    y, p, classes = case
    values = metrics.classification_metrics(y, p, classes)
    predicted = classes[p.argmax(axis=1)]
    one_hot = np.eye(len(classes))[np.searchsorted(classes, y)]
    expected = {
        "accuracy": sk.accuracy_score(y, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(y, predicted),
        "norm_macro_recall": sk.balanced_accuracy_score(y, predicted, adjusted=True),
        "log_loss": sk.log_loss(y, p, labels=classes),
        "matthews_correlation": sk.matthews_corrcoef(y, predicted),
        "weighted_accuracy": sk.accuracy_score(y, predicted, sample_weight=[(y == label).mean() for label in y]),
    }
    for average in ("macro", "micro", "weighted"):
        expected[f"AUC_{average}"] = sk.roc_auc_score(one_hot, p, average=average)
        expected[f"average_precision_score_{average}"] = sk.average_precision_score(one_hot, p, average=average)
        expected[f"f1_score_{average}"] = sk.f1_score(y, predicted, average=average)
        expected[f"precision_score_{average}"] = sk.precision_score(y, predicted, average=average)
        expected[f"recall_score_{average}"] = sk.recall_score(y, predicted, average=average)
    assert set(expected) == set(metrics.CLASSIFICATION_METRICS)
    assert values == pytest.approx(expected, abs=1e-12)


def test_classification_obeys_the_relations_of_azure_ml(case):
    values = metrics.classification_metrics(*case)
    n_classes = len(case[2])
    for same in ("f1_score_micro", "precision_score_micro", "recall_score_micro", "recall_score_weighted"):
        assert values[same] == pytest.approx(values["accuracy"])
    assert values["recall_score_macro"] == pytest.approx(values["balanced_accuracy"])
    chance = 1 / n_classes
    assert values["norm_macro_recall"] == pytest.approx((values["balanced_accuracy"] - chance) / (1 - chance))
    if n_classes == 2:
        assert values["norm_macro_recall"] == pytest.approx(2 * values["balanced_accuracy"] - 1)
        assert values["AUC_weighted"] == pytest.approx(values["AUC_macro"])
        assert values["AUC_weighted"] == pytest.approx(sk.roc_auc_score(case[0] == "yes", case[1][:, 1]))


def test_ranking_metrics_can_be_left_out_and_the_others_are_the_same(case):
    values = metrics.classification_metrics(*case)
    some = metrics.classification_metrics(*case, ranking=["AUC"])
    assert values.keys() - some.keys() == {f"average_precision_score_{kind}" for kind in ("macro", "micro", "weighted")}
    assert some == {name: values[name] for name in some}


def test_norm_macro_recall_is_not_below_zero():
    values = metrics.classification_metrics(["a", "b"], [[0, 1], [1, 0]], ["a", "b"])
    assert values["norm_macro_recall"] == 0


def test_a_class_that_a_fold_lacks_is_left_out_of_ranking_averages():
    y, p, classes = np.array(["a", "b"] * 20), votes(40, 3)[1], np.array(["a", "b", "c"])
    values = metrics.classification_metrics(y, p, classes)
    areas = [sk.roc_auc_score(y == label, p[:, i]) for i, label in enumerate("ab")]
    assert values["AUC_macro"] == pytest.approx(np.mean(areas))
    assert not any(math.isnan(value) for value in values.values())


def test_a_single_class_gives_nan_where_there_is_no_answer():
    values = metrics.classification_metrics(["a"] * 5, np.full((5, 2), 0.5), ["a", "b"])
    assert math.isnan(values["AUC_weighted"])
    assert math.isnan(values["average_precision_score_micro"])
    assert values["accuracy"] == 1
    alone = metrics.classification_metrics(["a"] * 5, np.ones((5, 1)), ["a"])
    assert math.isnan(alone["norm_macro_recall"])
    assert math.isnan(alone["log_loss"])


def test_rows_and_predictions_of_one_class_alone_have_no_matthews_correlation():
    values = metrics.classification_metrics([0, 0, 0], [[0.9, 0.1]] * 3, [0, 1])
    assert values["matthews_correlation"] == 0
    assert values["accuracy"] == 1


def test_a_class_that_is_never_predicted_has_precision_zero():
    values = metrics.classification_metrics([0, 0, 0, 1], [[0.9, 0.1]] * 4, [0, 1])
    assert values["precision_score_macro"] == 0.375
    assert values["precision_score_weighted"] == 0.75**2


def test_a_class_that_neither_occurs_nor_is_predicted_is_left_out_of_macro_averages():
    p = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.3, 0.7, 0], [0.6, 0.4, 0]])
    values = metrics.classification_metrics([0, 0, 1, 1], p, [0, 1, 2])
    for stem in ("f1_score", "precision_score", "recall_score"):
        assert values[f"{stem}_macro"] == pytest.approx(getattr(sk, stem)([0, 0, 1, 1], [0, 0, 1, 0], average="macro"))


def test_a_label_unknown_to_the_model_counts_as_wrong():
    y, p = np.array(["a", "b", "z", "a"]), np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    values = metrics.classification_metrics(y, p, ["a", "b"])
    assert values["accuracy"] == 0.75
    assert values["log_loss"] > 5
    table = metrics.confusion_matrix(y, p, ["a", "b"])["data"]
    assert table == {"class_labels": ["a", "b", "z"], "matrix": [[2, 0, 0], [0, 1, 0], [1, 0, 0]]}


def test_probabilities_that_do_not_sum_to_one_are_scaled_row_by_row(case, recwarn):
    y, p, classes = case
    scaled = p * np.linspace(0.1, 3, len(y))[:, np.newaxis]
    expected = metrics.classification_metrics(y, p, classes)
    assert metrics.classification_metrics(y, scaled, classes) == pytest.approx(expected)
    assert not recwarn.list


def test_a_row_without_any_probability_counts_as_undecided():
    values = metrics.classification_metrics([0, 1], [[0, 0], [0, 0]], [0, 1])
    assert values["log_loss"] == pytest.approx(math.log(2))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match=r"\(2, 2\)"):
        metrics.classification_metrics(["a"], np.full((2, 2), 0.5), ["a", "b"])
    with pytest.raises(DataError, match="at least one row"):
        metrics.regression_metrics([], [])


def test_confusion_matrix_has_true_classes_in_rows(case):
    y, p, classes = case
    table = metrics.confusion_matrix(y, p, classes)
    assert (table["schema_type"], table["schema_version"]) == ("confusion_matrix", "1.0.0")
    assert table["data"]["class_labels"] == [str(label) for label in classes]
    expected = [[int(((y == t) & (classes[p.argmax(axis=1)] == q)).sum()) for q in classes] for t in classes]
    assert table["data"]["matrix"] == expected


def test_accuracy_table_counts_what_the_roc_curve_says(case):
    y, p, classes = case
    table = metrics.accuracy_table(y, p, classes)
    assert (table["schema_type"], table["schema_version"]) == ("accuracy_table", "1.0.1")
    data = table["data"]
    assert data["probability_thresholds"] == pytest.approx(np.linspace(0, 1, 100))
    for kind in ("probability", "percentile"):
        counts = np.array(data[f"{kind}_tables"])
        assert counts.shape == (len(classes), 100, 4)
        assert (counts.sum(axis=2) == len(y)).all()
        for c, label in enumerate(classes):
            fpr, tpr, thresholds = sk.roc_curve(y == label, p[:, c], drop_intermediate=False)
            # The last point of the curve whose threshold is not below ours.
            at = [np.flatnonzero(thresholds >= t)[-1] for t in data[f"{kind}_thresholds"]]
            tp, fp, tn, fn = counts[c].T
            assert tp / (tp + fn) == pytest.approx(tpr[at])
            assert fp / (fp + tn) == pytest.approx(fpr[at])


def test_percentile_thresholds_are_spread_among_the_probabilities_of_all_classes():
    p = np.column_stack([np.linspace(0, 0.1, 150), np.linspace(0.4, 0.5, 150)])
    p = np.column_stack([p, 1 - p.sum(axis=1)])
    thresholds = metrics.accuracy_table([0, 1, 2] * 50, p, [0, 1, 2])["data"]["percentile_thresholds"]
    assert (thresholds[0], thresholds[-1]) == (p.min(), p.max())
    assert np.median(thresholds) == pytest.approx(np.median(p), abs=0.02)
    assert set(thresholds) <= set(p.ravel())


def test_counts_at_percentiles_are_added(case):
    y, p, classes = case
    parts = [metrics.accuracy_table(y[rows], p[rows], classes) for rows in (slice(40), slice(40, None))]
    one, other, total = (np.array(table["data"]["percentile_tables"]) for table in (*parts, metrics.sum_tables(parts)))
    assert (one + other == total).all()


def test_summed_tables_of_a_classification_are_the_tables_of_all_rows(case):
    y, p, classes = case
    halves = [slice(0, 120), slice(120, None)]
    matrices = [metrics.confusion_matrix(y[half], p[half], classes) for half in halves]
    assert metrics.sum_tables(matrices) == metrics.confusion_matrix(y, p, classes)
    tables = [metrics.accuracy_table(y[half], p[half], classes) for half in halves]
    total, whole = metrics.sum_tables(tables)["data"], metrics.accuracy_table(y, p, classes)["data"]
    assert total["probability_tables"] == whole["probability_tables"]
    assert total["percentile_thresholds"] == tables[0]["data"]["percentile_thresholds"]


@pytest.fixture
def numbers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    truth = rng.gamma(2, 10, 200)
    return truth, np.abs(truth + rng.normal(0, 4, 200))


def test_regression_agrees_with_scikit_learn(numbers):
    y, p = numbers
    values = metrics.regression_metrics(y, p)
    errors = {
        "mean_absolute_error": sk.mean_absolute_error(y, p),
        "median_absolute_error": sk.median_absolute_error(y, p),
        "root_mean_squared_error": sk.root_mean_squared_error(y, p),
        "root_mean_squared_log_error": sk.root_mean_squared_log_error(y, p),
    }
    expected = errors | {f"normalized_{name}": error / (y.max() - y.min()) for name, error in errors.items()}
    expected |= {
        "explained_variance": sk.explained_variance_score(y, p),
        "r2_score": sk.r2_score(y, p),
        "spearman_correlation": spearmanr(y, p).statistic,
        "mean_absolute_percentage_error": 100 * sk.mean_absolute_percentage_error(y, p),
    }
    assert set(expected) == set(metrics.REGRESSION_METRICS)
    assert values == pytest.approx(expected)
    assert all(type(value) is float for value in values.values())


def test_equal_values_share_their_rank(numbers):
    y, p = np.round(numbers, -1)
    assert metrics.regression_metrics(y, p)["spearman_correlation"] == pytest.approx(spearmanr(y, p).statistic)


def test_normalized_errors_take_the_range_that_is_given(numbers):
    y, p = numbers
    values = metrics.regression_metrics(y, p, (0.0, 1000.0))
    assert values["normalized_mean_absolute_error"] == pytest.approx(values["mean_absolute_error"] / 1000)
    assert metrics.regression_metrics(y, p + 1e6)["normalized_root_mean_squared_error"] == 1


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        ([1, 1, 1], [1, 2, 3], {"spearman_correlation": -1.0, "normalized_mean_absolute_error": math.nan}),
        ([1, 2, 3], [5, 5, 5], {"spearman_correlation": -1.0, "r2_score": -1.0}),
        ([-1, 2, 3], [1, 2, 3], {"root_mean_squared_log_error": math.nan}),
        ([0, 0], [1, 2], {"mean_absolute_percentage_error": math.nan}),
        ([0, 4], [1, 5], {"mean_absolute_percentage_error": 25.0}),
        ([-4, 4], [-5, 4], {"mean_absolute_percentage_error": 12.5}),
        ([0, 0], [0, math.e - 1], {"root_mean_squared_log_error": math.sqrt(0.5)}),
        ([1], [2], {"r2_score": math.nan, "mean_absolute_error": 1.0}),
    ],
)
def test_regression_edges_are_nan_or_the_stated_value(truth, predicted, expected):
    values = metrics.regression_metrics(truth, predicted)
    assert {name: values[name] for name in expected} == pytest.approx(expected, nan_ok=True)


def test_summed_tables_of_a_regression_are_the_tables_of_all_rows(numbers):
    y, p = numbers
    bounds = (float(y.min()), float(y.max()))
    for function in (metrics.residuals, metrics.predicted_true):
        total = metrics.sum_tables([function(y[:70], p[:70], bounds), function(y[70:], p[70:], bounds)])
        whole = function(y, p, bounds)
        assert total["schema_type"] == whole["schema_type"]
        for key, value in whole["data"].items():
            assert total["data"][key] == pytest.approx(value), key


def test_residuals_are_prediction_minus_truth():
    data = metrics.residuals([0, 10, 5], [1, 11, 99])["data"]
    assert data["res_count"] == 3
    assert sum(data["bin_counts"]) == 3
    assert data["bin_counts"][-1] == 1  # beyond the range of the target
    assert data["mean"] == pytest.approx(32)


def test_bins_of_a_constant_target_have_a_width():
    for function in (metrics.residuals, metrics.predicted_true):
        data = function([3, 3], [3, 3])["data"]
        assert (np.diff(data["bin_edges"]) > 0).all()
        assert sum(data["bin_counts"]) == 2


def test_bins_of_residuals_span_the_range_both_ways():
    edges = metrics.residuals([12, 14], [12, 14], (10, 20))["data"]["bin_edges"]
    assert (edges[0], edges[-1], len(edges)) == (-10, 10, 51)


def test_a_target_on_an_edge_is_in_the_bin_that_begins_there():
    counts = metrics.predicted_true([0, 1, 1, 50], [0, 0, 0, 0], (0, 50))["data"]["bin_counts"]
    assert (counts[0], counts[1], counts[49]) == (1, 2, 1)


def test_predicted_true_averages_within_bins_of_the_target():
    data = metrics.predicted_true([0, 0, 10], [1, 3, 9])["data"]
    assert (data["bin_averages"][0], data["bin_errors"][0], data["bin_counts"][0]) == (2, 1, 2)
    assert (data["bin_averages"][-1], data["bin_counts"][-1]) == (9, 1)


def test_direction_of_metrics():
    lower = {name for name in metrics.CLASSIFICATION_METRICS if not metrics.greater_is_better(name)}
    assert lower == {"log_loss"}
    higher = {name for name in metrics.REGRESSION_METRICS if metrics.greater_is_better(name)}
    assert higher == {"explained_variance", "r2_score", "spearman_correlation"}
    with pytest.raises(UserErrorException, match="AUC_weighted"):
        metrics.greater_is_better("AUC_weigthed")


def test_micro_auc_of_two_classes_pools_both_columns():
    truth, p = votes(100, 2)
    both = np.column_stack([1 - label_binarize(truth, classes=[0, 1]), label_binarize(truth, classes=[0, 1])])
    expected = sk.roc_auc_score(both.ravel(), p.ravel())
    assert metrics.classification_metrics(truth, p, [0, 1])["AUC_micro"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (12.0, "12"),
        (0.16567, "0.1657"),
        (-45.2231, "-45.2231"),
        (1794.541, "1,794.5"),
        (3_000_000.0, "3,000,000"),
        (3.16431e-9, "3.16e-09"),
        (-0.00068291, "-0.000683"),
        (2.9341e12, "2.93e+12"),
        (float("inf"), "inf"),
    ],
)
def test_a_number_of_any_size_can_be_read(value, text):
    assert metrics.number_text(value) == text


COUNTS = np.random.default_rng(3).integers(0, 4, 300)


def test_a_weight_is_a_number_of_equal_rows_of_a_classification(case):
    y, p, classes = case
    rows = np.repeat(np.arange(300), COUNTS)
    label = classes[1]
    repeated = metrics.classification_metrics(y[rows], p[rows], classes, positive_label=label)
    weighted = metrics.classification_metrics(y, p, classes, sample_weight=COUNTS, positive_label=label)
    assert weighted == pytest.approx(repeated, abs=1e-12)
    assert weighted != pytest.approx(metrics.classification_metrics(y, p, classes, positive_label=label), abs=1e-3)
    assert metrics.classification_metrics(
        y, p, classes, sample_weight=COUNTS / 7, positive_label=label
    ) == pytest.approx(repeated, abs=1e-12)


@pytest.mark.parametrize("decimals", [0, 6])  # whole numbers are often equal
def test_a_weight_is_a_number_of_equal_rows_of_a_regression(numbers, decimals):
    y, p = np.round(numbers, decimals)
    counts = COUNTS[:200]
    rows = np.repeat(np.arange(200), counts)
    repeated = metrics.regression_metrics(y[rows], p[rows], (0.0, 90.0))
    weighted = metrics.regression_metrics(y, p, (0.0, 90.0), sample_weight=counts)
    assert weighted == pytest.approx(repeated, abs=1e-12)
    assert weighted != pytest.approx(metrics.regression_metrics(y, p, (0.0, 90.0)), abs=1e-3)


def test_rows_of_weight_zero_are_as_good_as_absent():
    y, p = np.array(["a", "b", "a"]), np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    values = metrics.classification_metrics(y, p, ["a", "b"], sample_weight=[1, 0, 2])
    assert math.isnan(values["AUC_weighted"])  # of one class alone
    assert values["matthews_correlation"] == 0
    assert metrics.regression_metrics([1, 1, 5], [1, 2, 9], sample_weight=[1, 1, 0])["spearman_correlation"] == -1


def test_equal_weights_are_no_weights(case, numbers):
    y, p, classes = case
    weights = np.full(300, 2.5)
    assert metrics.classification_metrics(y, p, classes, sample_weight=weights) == pytest.approx(
        metrics.classification_metrics(y, p, classes), abs=1e-12
    )
    assert metrics.regression_metrics(*numbers, sample_weight=weights[:200]) == pytest.approx(
        metrics.regression_metrics(*numbers), abs=1e-12
    )


@pytest.mark.parametrize("weights", [[1, -1], [0, 0], [1, math.nan], [1, math.inf], [1], [[1, 1]]])
def test_weights_that_weigh_nothing_are_refused(weights):
    with pytest.raises(DataError, match="sample_weight"):
        metrics.classification_metrics([0, 1], [[1, 0], [0, 1]], [0, 1], sample_weight=weights)
    with pytest.raises(DataError, match="sample_weight"):
        metrics.regression_metrics([0, 1], [0, 1], sample_weight=weights)


def test_the_positive_label_adds_the_metrics_of_one_class(case):
    y, p, classes = case
    values = metrics.classification_metrics(y, p, classes, positive_label=classes[1])
    assert tuple(values) == metrics.CLASSIFICATION_METRICS + metrics.BINARY_METRICS
    is_it, predicted = y == classes[1], p.argmax(axis=1) == 1
    expected = {
        "AUC_binary": sk.roc_auc_score(is_it, p[:, 1]),
        "average_precision_score_binary": sk.average_precision_score(is_it, p[:, 1]),
        "f1_score_binary": sk.f1_score(is_it, predicted),
        "precision_score_binary": sk.precision_score(is_it, predicted),
        "recall_score_binary": sk.recall_score(is_it, predicted),
    }
    assert {name: values[name] for name in metrics.BINARY_METRICS} == pytest.approx(expected, abs=1e-12)
    assert all(metrics.greater_is_better(name) for name in metrics.BINARY_METRICS)


def test_a_fold_without_the_positive_label_has_no_area_of_it():
    values = metrics.classification_metrics(["a", "b"], [[0.9, 0.1, 0], [0.2, 0.8, 0]], list("abc"), positive_label="c")
    assert math.isnan(values["AUC_binary"])
    assert math.isnan(values["average_precision_score_binary"])
    assert values["recall_score_binary"] == 0


def test_a_positive_label_that_is_no_class_is_refused():
    with pytest.raises(DataError, match="'maybe'") as caught:
        metrics.classification_metrics(["a", "b"], np.full((2, 2), 0.5), ["a", "b"], positive_label="maybe")
    assert "'a', 'b'" in caught.value.remedy
