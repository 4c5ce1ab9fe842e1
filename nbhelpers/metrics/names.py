"""The names of the metrics, which way they are better, and how numbers are written for a reader."""

from __future__ import annotations

from nbhelpers.errors import UserErrorException, nearest

AVERAGES = ("macro", "micro", "weighted")
RANKING = ("AUC", "average_precision_score")

#: The 21 scalar classification metrics.
CLASSIFICATION_METRICS: tuple[str, ...] = (
    "accuracy",
    "weighted_accuracy",
    "balanced_accuracy",
    "norm_macro_recall",
    "log_loss",
    "matthews_correlation",
    *(
        f"{stem}_{average}"
        for stem in (*RANKING, "f1_score", "precision_score", "recall_score")
        for average in AVERAGES
    ),
)

#: The scalar metrics of one class against the rest, for a classification with a positive label.
BINARY_METRICS: tuple[str, ...] = tuple(
    f"{stem}_binary" for stem in (*RANKING, "f1_score", "precision_score", "recall_score")
)

#: The 12 scalar regression metrics.
REGRESSION_METRICS: tuple[str, ...] = (
    "explained_variance",
    "r2_score",
    "spearman_correlation",
    "mean_absolute_error",
    "median_absolute_error",
    "root_mean_squared_error",
    "root_mean_squared_log_error",
    "mean_absolute_percentage_error",
    "normalized_mean_absolute_error",
    "normalized_median_absolute_error",
    "normalized_root_mean_squared_error",
    "normalized_root_mean_squared_log_error",
)

#: The metrics that a search can optimise, by task; the first of each is the default.
PRIMARY_METRICS: dict[str, tuple[str, ...]] = {
    "classification": (
        "accuracy",
        "AUC_weighted",
        "norm_macro_recall",
        "average_precision_score_weighted",
        "precision_score_weighted",
    ),
    "regression": (
        "normalized_root_mean_squared_error",
        "normalized_mean_absolute_error",
        "r2_score",
        "spearman_correlation",
    ),
}


def greater_is_better(name: str) -> bool:
    """Whether a larger value of a metric is the better one.

    Raises
    ------
    UserErrorException
        The name is not one of the metrics.
    """
    known = CLASSIFICATION_METRICS + BINARY_METRICS + REGRESSION_METRICS
    if name not in known:
        near = nearest(name, known)
        hint = f"Did you mean {near!r}?" if near else f"Use one of {', '.join(known)}."
        raise UserErrorException(f"There is no metric {name!r}.", hint)
    return not (name == "log_loss" or "error" in name)


def number_text(value: float) -> str:
    """A number for a reader, of any size: 12, 0.1657, 1,794.5, 3.16e-09.

    Fractions have four places, from a thousand on one; very small and very large ones have three digits.
    """
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"  # -0.0 is 0
    if 0.001 <= abs(value) < 1e9:
        return f"{value:,.4f}" if abs(value) < 1000 else f"{value:,.1f}"
    return f"{value:.3g}"
