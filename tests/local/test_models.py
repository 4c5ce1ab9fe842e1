from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from nbhelpers.errors import ModelError
from nbhelpers.local import models
from nbhelpers.local.store import models as models_table


def model_path(seed: SimpleNamespace) -> Path:
    return models.model_file(seed.ws.store, seed.step.id)


def test_a_stored_model_is_loaded_from_a_path_or_an_open_file(seed: SimpleNamespace) -> None:
    frame = seed.dataset.to_pandas_dataframe().drop(columns="y")
    expected = seed.best_model.predict_proba(frame)
    with model_path(seed).open("rb") as file:
        assert np.array_equal(models.load(file).predict_proba(frame), expected)
    assert np.array_equal(models.load(str(model_path(seed)), seed.ws).predict_proba(frame), expected)


def test_a_changed_file_is_refused(seed: SimpleNamespace) -> None:
    content = bytearray(model_path(seed).read_bytes())
    content[-1] ^= 1
    with pytest.raises(ModelError, match="it was changed, or it comes from elsewhere"):
        models.load(io.BytesIO(content))


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a pickle was opened",))


@pytest.mark.usefixtures("seed")
def test_a_pickle_is_refused_and_not_opened() -> None:
    with pytest.raises(ModelError, match="It was not opened"):
        models.load(io.BytesIO(pickle.dumps(Harmful())))


def test_a_known_file_of_foreign_types_is_refused(seed: SimpleNamespace) -> None:
    import skops.io

    content = skops.io.dumps(Harmful2())
    row = {"digest": hashlib.sha256(content).hexdigest(), "run_id": seed.step.id, "created": "", "versions": {}}
    with seed.ws.store.writing() as connection:
        connection.execute(models_table.insert().values(row))
    with pytest.raises(ModelError, match="cannot be loaded"):
        models.load(io.BytesIO(content))


class Harmful2:
    """A type that nobody trusts."""


def test_foreign_types_are_not_stored(seed: SimpleNamespace) -> None:
    with pytest.raises(ModelError, match=r"types that are not trusted on loading: .*Harmful2"):
        models.save_model(seed.ws.store, "other", Harmful2())
    assert not models.model_file(seed.ws.store, "other").exists()


def test_other_package_versions_are_explained(seed: SimpleNamespace) -> None:
    import skops.io

    content = skops.io.dumps(LinearRegression())
    versions = models.package_versions() | {"scikit-learn": "0.1"}
    row = {"digest": hashlib.sha256(content).hexdigest(), "run_id": seed.step.id, "created": "", "versions": versions}
    with seed.ws.store.writing() as connection:
        connection.execute(models_table.insert().values(row))
    with pytest.raises(ModelError, match=r"scikit-learn 0\.1 \(here .*\n.*pip install scikit-learn==0\.1$"):
        models.load(io.BytesIO(content))


@pytest.mark.usefixtures("home")
def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        models.load(tmp_path / "model")
