from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest


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
