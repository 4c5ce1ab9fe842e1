from __future__ import annotations

import pandas as pd
import pytest

from .small_runs import PipelineRun, bank_rows, class_rows, house_rows, stored, train


@pytest.fixture(scope="session")
def bank_train() -> pd.DataFrame:
    return bank_rows(400, seed=1)


@pytest.fixture(scope="session")
def bank_test() -> pd.DataFrame:
    return bank_rows(300, seed=2)


@pytest.fixture(scope="session")
def bank_run(bank_train: pd.DataFrame) -> PipelineRun:
    return train(bank_train)


@pytest.fixture(scope="session")
def house_run() -> PipelineRun:
    return train(house_rows(300, seed=1), "regression")


@pytest.fixture(scope="session")
def class_run() -> PipelineRun:
    return train(class_rows(300, seed=1))


@pytest.fixture(scope="session")
def stored_bank(bank_run: PipelineRun, bank_train: pd.DataFrame) -> PipelineRun:
    return stored(bank_run, bank_train)


@pytest.fixture(scope="session")
def stored_houses(house_run: PipelineRun) -> PipelineRun:
    return stored(house_run, house_rows(300, seed=1))


@pytest.fixture(scope="session")
def stored_classes(class_run: PipelineRun) -> PipelineRun:
    return stored(class_run, class_rows(300, seed=1))
