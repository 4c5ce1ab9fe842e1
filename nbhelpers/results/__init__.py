"""Functions that take a run, or a table, and show it; none of them knows which backend made the run.

============== =========================================================================
``live``        a run while it is at work
``runs``        find a finished run, its AutoML step and its children; a published pipeline
``tables``      tables about the children of a run: leaderboard, members, metrics
``evidence``    how the best model was chosen, the best of each algorithm, its importances
``plots``       pictures of the search
``stored``      curves of any child from the tables that are stored with it
``validation``  the out-of-fold predictions of a child: slices, thresholds
``models``      the best model of a run
``testing``     the best model on rows it has not seen
``report``      what the test found
``card``        the model card
``data``        a table before anything is trained on it
``columns``     its columns one by one, by the values of the label
============== =========================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# No module has the name of a function: importing it would put it in the function's place.
_MODULES = {
    "card": ("model_card",),
    "columns": ("plot_columns",),
    "data": ("data_checks", "describe", "label_balance", "plot_label", "profile"),
    "evidence": ("best_by_algorithm", "importance", "plot_importance", "selection"),
    "live": ("watch",),
    "models": ("best_model",),
    "plots": ("plot_algorithms", "plot_correlation", "plot_ensemble", "plot_scores", "plot_tradeoff"),
    "runs": ("automl_step", "find_published", "find_run"),
    "report": ("TestReport",),
    "stored": ("plot_curves",),
    "tables": ("ensemble", "guardrails", "leaderboard", "metrics_table", "timeline", "verdict"),
    "testing": ("predict", "test_report"),
    "validation": ("out_of_fold", "slices", "thresholds"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import what is asked for, and only that: pandas and scikit-learn take seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
