"""Azure ML's metrics of automated machine learning, as functions of labels and predictions.

Names, ranges and JSON forms are Azure ML's; a quantity that scikit-learn has too has scikit-learn's value. Every scalar
is a float; one that cannot be computed (the ROC area of a single class, say) is NaN, never an error or a warning.
"""

from nbhelpers.metrics.names import (
    BINARY_METRICS,
    CLASSIFICATION_METRICS,
    PRIMARY_METRICS,
    REGRESSION_METRICS,
    greater_is_better,
    number_text,
)
from nbhelpers.metrics.scalars import classification_metrics, regression_metrics
from nbhelpers.metrics.tables import accuracy_table, confusion_matrix, predicted_true, residuals, sum_tables

__all__ = [
    "BINARY_METRICS",
    "CLASSIFICATION_METRICS",
    "PRIMARY_METRICS",
    "REGRESSION_METRICS",
    "accuracy_table",
    "classification_metrics",
    "confusion_matrix",
    "greater_is_better",
    "number_text",
    "predicted_true",
    "regression_metrics",
    "residuals",
    "sum_tables",
]
