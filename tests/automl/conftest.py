from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from nbhelpers.automl import pipelines, stopping


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Any:
    """Threads that wait for each other on busy cores make small fits hundreds of times slower."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few trees, epochs and models in a bag, for tests that train many models in this process."""
    monkeypatch.setattr(pipelines, "MOST_TREES", 40)
    monkeypatch.setattr(pipelines, "_MOST_MODELS", 2)
    monkeypatch.setattr(pipelines, "_TREES", (10, 10))
    monkeypatch.setattr(stopping, "MOST_EPOCHS", 10)


@pytest.fixture(scope="session")
def table() -> tuple[pd.DataFrame, pd.Series[Any], pd.Series[Any]]:
    """A table of columns of many kinds with gaps, a label of two classes, and a quantity; not to be changed."""
    n, rng = 300, np.random.default_rng(0)
    amount, age, job = rng.normal(size=n), rng.integers(18, 70, n), rng.choice(["admin", "clerk", "miner"], n)
    signal = amount + (job == "miner") + 0.02 * age + rng.normal(scale=0.7, size=n)
    frame = pd.DataFrame(
        {
            "amount": np.where(rng.random(n) < 0.05, np.nan, amount),
            "age": age,
            "job": np.where(rng.random(n) < 0.05, None, job),
            "größe [{m}]": rng.normal(size=n),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D"),
            "member": rng.random(n) < 0.5,
        }
    )
    return frame, pd.Series(np.where(signal > 1.2, "yes", "no"), name="y"), pd.Series(signal, name="value")
