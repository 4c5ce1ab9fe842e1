from __future__ import annotations

import hashlib
import io
import json
import pickle
import platform
import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import ZipFile

import joblib
import numpy as np
import pytest
import skops.io
import sqlalchemy as sa
from sklearn.linear_model import LinearRegression

from nbhelpers.errors import ModelError, UserErrorException
from nbhelpers.local import Experiment, Workspace, models
from nbhelpers.local.store import models as models_table
from nbhelpers.local.store import now, open_store, runs

from .kills import killed_at_each_line


def model_path(seed: SimpleNamespace) -> Path:
    return models.model_file(seed.ws.store, seed.step.id)


def predictions(model: Any, seed: SimpleNamespace) -> Any:
    return model.predict_proba(seed.dataset.to_pandas_dataframe().drop(columns="y"))


def model_content(model: object, run_id: str, **packages: str) -> bytes:
    """A model file in the form of `save_model`, with any types and any package versions."""
    file = io.BytesIO()
    skops.io.dump(model, file)
    with ZipFile(file, "a") as archive:
        archive.writestr("about.json", json.dumps({"run_id": run_id, "packages": models.package_versions() | packages}))
    return file.getvalue()


def made_known(seed: SimpleNamespace, content: bytes, run_id: str | None = None) -> io.BytesIO:
    """The file, after the workspace has noted its digest as `save_model` does."""
    digest = hashlib.sha256(content).hexdigest()
    row = {"digest": digest, "run_id": run_id or seed.step.id, "created": now()}
    with seed.ws.store.writing() as connection:
        connection.execute(models_table.insert().prefix_with("OR IGNORE").values(row))
    return io.BytesIO(content)


def add_run(run_id: str, status: str = "Finished") -> str:
    row = {"id": run_id, "experiment": "automl-bank", "kind": "step", "name": "automl_module", "status": status}
    row |= {"created": now(), **{key: {} for key in ("definition", "properties", "tags", "metrics")}}
    with open_store().writing() as connection:
        connection.execute(runs.insert().values(row))
    return run_id


def test_a_stored_model_is_loaded_from_a_path_or_an_open_file(seed: SimpleNamespace) -> None:
    expected = predictions(seed.best_model, seed)
    with model_path(seed).open("rb") as file:
        assert np.array_equal(predictions(models.load(file), seed), expected)
    assert np.array_equal(predictions(models.load(str(model_path(seed)), seed.ws), seed), expected)


def test_a_model_file_says_what_it_needs_wherever_it_goes(seed: SimpleNamespace) -> None:
    with ZipFile(model_path(seed)) as archive:
        about = json.loads(archive.read("about.json"))
    assert about == {
        "run_id": seed.step.id,
        "packages": models.package_versions(),
        "python": platform.python_version(),
        "columns": ["age", "job", "duration"],
        "classes": ["no", "yes"],
    }


EMPTY = skops.io.dumps(LinearRegression())


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty, or was read to its end before"),
        (b"age,job\n1,student\n", "no model file, or is damaged: File is not a zip file"),
        (np.random.default_rng(0).bytes(1000), "no model file, or is damaged: File is not a zip file"),
        (EMPTY[:-100], "no model file, or is damaged: File is not a zip file"),
        (EMPTY.replace(b"schema.json", b"sheet1.json"), r"is damaged: .*no item named 'schema.json'"),
    ],
    ids=["empty", "text", "random", "truncated", "another zip"],
)
def test_what_is_no_model_file_is_refused(home: Path, content: bytes, problem: str, trust: bool) -> None:
    with pytest.raises(ModelError, match=problem):
        models.load(io.BytesIO(content), trust=trust)
    assert not home.exists()


@pytest.mark.usefixtures("home")
def test_a_path_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be read: No such file.*\n.*get_pipeline_output"):
        models.load(tmp_path / "model")
    with pytest.raises(ModelError, match=r"is a folder.*\n.*path of the model file in it"):
        models.load(tmp_path)
    with pytest.raises(ModelError, match="cannot be read: embedded null"):
        models.load("model\0")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_file_that_is_open_as_text_is_refused(seed: SimpleNamespace, encoding: str) -> None:
    with (
        model_path(seed).open(encoding=encoding) as file,
        pytest.raises(ModelError, match=r"is open as text.*\n.*open\(path, 'rb'\)"),
    ):
        models.load(file)  # type: ignore[arg-type]


def test_a_file_that_was_closed_or_read_before_is_refused(seed: SimpleNamespace) -> None:
    with model_path(seed).open("rb") as file:
        models.load(file)
        with pytest.raises(ModelError, match="read to its end before"):
            models.load(file)
    with pytest.raises(ModelError, match="cannot be read: read of closed file"):
        models.load(file)


def test_a_changed_file_is_refused(seed: SimpleNamespace) -> None:
    content = bytearray(model_path(seed).read_bytes())
    content[1000] ^= 1
    with pytest.raises(ModelError, match=rf"was changed since run {seed.step.id} stored it.*\n.*overwrite=True"):
        models.load(io.BytesIO(content))


def test_a_model_of_another_workspace_is_opened_only_on_trust(
    seed_run: SimpleNamespace, home: Path, tmp_path: Path
) -> None:
    moved = shutil.copy(model_path(seed_run), tmp_path / "model_data")
    model = models.load(moved, trust=True)
    assert not home.exists()  # a machine with no workspace stays without one
    assert np.array_equal(predictions(model, seed_run), predictions(seed_run.best_model, seed_run))
    with pytest.raises(ModelError, match=rf"not stored by the workspace in {home}.*\n.*NBHELPERS_HOME.*trust=True"):
        models.load(moved)


def test_a_changed_file_is_opened_on_trust_while_it_can_be_rebuilt(seed: SimpleNamespace) -> None:
    content = model_content(LinearRegression(n_jobs=7), seed.step.id)
    with pytest.raises(ModelError, match="was changed"):
        models.load(io.BytesIO(content))
    assert models.load(io.BytesIO(content), trust=True).n_jobs == 7
    broken = model_path(seed).read_bytes()
    with ZipFile(io.BytesIO(broken)) as archive:
        place = max(archive.infolist(), key=lambda entry: entry.file_size).header_offset
    with pytest.raises(ModelError, match="cannot be rebuilt: BadZipFile: Bad CRC"):
        models.load(io.BytesIO(broken[: place + 200] + b"?" + broken[place + 201 :]), trust=True)


def test_a_skops_file_of_another_program_is_opened_on_trust() -> None:
    assert isinstance(models.load(io.BytesIO(EMPTY), trust=True), LinearRegression)


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a pickle was opened",))


def dumped(model: object, **options: Any) -> bytes:
    file = io.BytesIO()
    joblib.dump(model, file, **options)
    return file.getvalue()


FORMS: dict[str, Any] = {
    **{f"pickle {protocol}": lambda m, p=protocol: pickle.dumps(m, protocol=p) for protocol in range(2, 6)},
    "joblib": dumped,
    **{f"joblib {level}": lambda m, c=level: dumped(m, compress=c) for level in (1, 3, 6, 9)},
    **{f"joblib {name}": lambda m, c=name: dumped(m, compress=(c, 3)) for name in ("gzip", "bz2", "xz", "lzma")},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_pickle_is_named_and_opened_only_on_trust(home: Path, form: Any) -> None:
    with pytest.raises(ModelError, match=r"a pickle or a joblib file.* It was not opened: that would run any code"):
        models.load(io.BytesIO(form(Harmful())))
    model = LinearRegression().fit(np.arange(6.0).reshape(-1, 1), np.arange(6.0))
    assert models.load(io.BytesIO(form(model)), trust=True).predict([[7.0]]) == pytest.approx([7.0])
    assert not home.exists()


def test_a_pickle_that_needs_what_is_not_installed_is_explained() -> None:
    content = pickle.dumps(Harmful()).replace(b"_pytest", b"azureml")
    with pytest.raises(ModelError, match=r"loaded here: ModuleNotFoundError: .*azureml.*\n.*conda_env_v_1_0_0\.yml"):
        models.load(io.BytesIO(content), trust=True)


class Foreign:
    """A type that nobody trusts."""


@pytest.mark.parametrize("trust", [False, True])
def test_a_file_of_foreign_types_is_refused_even_on_trust(seed: SimpleNamespace, trust: bool) -> None:
    file = made_known(seed, model_content([Foreign()], seed.step.id))
    with pytest.raises(ModelError, match=r"types that are not trusted: \S*test_models\.Foreign\. It was not loaded"):
        models.load(file, trust=trust)


def test_foreign_types_are_not_stored(seed: SimpleNamespace) -> None:
    with pytest.raises(ModelError, match=r"types that are not trusted on loading: .*Foreign"):
        models.save_model(seed.ws.store, "other", Foreign())
    assert not models.model_file(seed.ws.store, "other").exists()


@pytest.mark.parametrize(
    ("versions", "named", "pins"),
    [
        ({"scikit-learn": "0.1"}, r"scikit-learn 0\.1 \(here \d\S+\)", ": pip install scikit-learn==0.1;"),
        ({"scikit-learn": "99.0"}, r"scikit-learn 99\.0 \(here \d\S+\)", ": pip install scikit-learn==99.0;"),
        ({"not-there": "1.0"}, r"not-there 1\.0 \(not installed here\)", ": pip install not-there==1.0;"),
        ({"nbhelpers": "99.0"}, r"nbhelpers 99\.0 \(here \d\S+\)", "an environment of their own;"),
    ],
    ids=["older", "newer", "missing", "this project"],
)
def test_other_package_versions_are_refused_or_on_trust_warned_of(
    seed: SimpleNamespace, versions: dict[str, str], named: str, pins: str
) -> None:
    file = made_known(seed, model_content(LinearRegression(), seed.step.id, **versions))
    with pytest.raises(ModelError, match=rf"other package versions: {named}\.\n") as caught:
        models.load(file)
    assert pins in caught.value.remedy
    file.seek(0)
    with pytest.warns(UserWarning, match=rf"{named}\. It may fail or predict differently") as warned:
        assert isinstance(models.load(file, trust=True), LinearRegression)
    assert warned[0].filename == __file__


def test_the_same_versions_give_no_warning(seed: SimpleNamespace) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        models.load(model_path(seed), trust=True)


@pytest.mark.parametrize("status", ["Failed", "Canceled", "Running"])
def test_a_model_of_a_run_that_has_not_finished_is_refused(seed: SimpleNamespace, status: str) -> None:
    run_id = add_run(f"{status}-with-a-model", status)
    models.save_model(seed.ws.store, run_id, LinearRegression())
    file = models.model_file(seed.ws.store, run_id)
    with pytest.raises(ModelError, match=rf"run {run_id}, which is {status}.*\n.*wait_for_completion"):
        models.load(file)
    assert isinstance(models.load(file, trust=True), LinearRegression)


def test_a_download_outlives_the_file_of_its_run(seed: SimpleNamespace, tmp_path: Path) -> None:
    seed.step.get_output_data("model_data").download(tmp_path)
    file = model_path(seed).rename(tmp_path / "cleaned away")
    try:
        with pytest.raises(ModelError, match="keeps no model"):
            seed.step.get_output()
        with pytest.raises(UserErrorException, match=r"is not there.*cleaned away"):
            seed.step.get_output_data("model_data").download(tmp_path, overwrite=True)
        model = models.load(tmp_path / "azureml" / seed.step.id / "model_data")
    finally:
        file.rename(model_path(seed))
    assert np.array_equal(predictions(model, seed), predictions(seed.best_model, seed))


def test_a_worker_that_is_killed_while_it_stores_leaves_no_row_or_a_whole_file(workspace: Workspace) -> None:
    store, model = workspace.store, LinearRegression()
    Experiment(workspace, "automl-bank")
    states = []
    for number in killed_at_each_line(lambda number: models.save_model(open_store(), add_run(f"run-{number}"), model)):
        row = store.one(sa.select(models_table.c.digest).where(models_table.c.run_id == f"run-{number}"))
        file = models.model_file(store, f"run-{number}")
        if row:
            assert hashlib.sha256(file.read_bytes()).hexdigest() == row["digest"]
            assert isinstance(models.load(file), LinearRegression)
        states.append((file.exists(), row is not None))
    assert list(dict.fromkeys(states)) == [(False, False), (True, False), (True, True)]
