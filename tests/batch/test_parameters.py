from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nbhelpers.batch.parameters import Parameter, check_parameters, holds_secret, looks_secret, read_parameters
from nbhelpers.errors import BatchError, ParameterError

DECLARED = {
    "02_data": [Parameter("label", "str", "y", "", 1), Parameter("test_size", "float", 0.2, "", 2)],
    "03_train": [
        Parameter("iterations", "int", 20, "", 1),
        Parameter("reuse", "bool", True, "", 2),
        Parameter("limit", "float | None", None, "", 3),
        Parameter("models", "list[str]", [], "", 4),
        Parameter("weights", "dict[str, float] | None", None, "", 5),
        Parameter("name", "str | None", None, "", 6),
        Parameter("fold", "int | str", "auto", "", 7),
        Parameter("flags", "list", [], "", 8),
    ],
    "04_examine": [Parameter("label", "str", "y", "", 1)],
}


def test_reads_name_type_default_comment_and_line(notebook: Callable[..., Path]) -> None:
    path = notebook(
        'url: str = "http://h/?q=1"  # with a = and a # in it: a=b\n'
        "# a comment of its own line\n"
        "limit: float | None = None\n"
        "names: list[str] = [\n"
        '    "a",  # of an element\n'
        "]  # of the list\n"
        "low = -1"
    )
    assert read_parameters(path) == [
        Parameter("url", "str", "http://h/?q=1", "with a = and a # in it: a=b", 1),
        Parameter("limit", "float | None", None, "", 3),
        Parameter("names", "list[str]", ["a"], "of the list", 4),
        Parameter("low", "int", -1, "", 7),
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x: int = int('3')", "not a literal"),
        ("x: int = 'three'", "does not fit its type"),
        ("x: int = '3'", "does not fit its type"),
        ("x: int = True", "does not fit its type"),
        ("x: Path = 'a'", "cannot be checked"),
        ("x: dict[int, str] = {}", "cannot be checked"),
        ("x = None", "does not fit|cannot be checked"),
        ("x: int", "is not `name: type = value`"),
        ("import os", "is not `name: type = value`"),
        ("a, b = 1, 2", "is not `name: type = value`"),
        ("%matplotlib inline", "is not Python"),
    ],
)
def test_line_that_is_not_a_parameter_is_refused_with_its_text(
    notebook: Callable[..., Path], source: str, message: str
) -> None:
    with pytest.raises(ParameterError, match=message) as caught:
        read_parameters(notebook(f"first: int = 1\n{source}"))
    assert "Line 2" in caught.value.problem
    assert source in caught.value.problem


@pytest.mark.parametrize("sources", [(), ("a: int = 1", "b: int = 2")])
def test_notebook_must_have_one_parameters_cell(notebook: Callable[..., Path], sources: tuple[str, ...]) -> None:
    with pytest.raises(ParameterError, match="tagged 'parameters'"):
        read_parameters(notebook(*sources))


def test_file_that_is_no_notebook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "00_x.ipynb"
    path.write_text("{}")
    with pytest.raises(BatchError, match="cannot be read as a notebook"):
        read_parameters(path)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("iterations", "5", 5),
        ("iterations", 5, 5),
        ("test_size", "0.5", 0.5),
        ("test_size", 1, 1.0),
        ("reuse", "false", False),
        ("reuse", "True", True),
        ("limit", "none", None),
        ("limit", None, None),
        ("limit", "3", 3.0),
        ("label", "5", "5"),
        ("label", "none", "none"),
        ("name", "None", None),
        ("name", "true", "true"),
        ("fold", "5", 5),
        ("fold", "five", "five"),
        ("models", '["a", "b"]', ["a", "b"]),
        ("models", ["a"], ["a"]),
        ("weights", '{"a": 1}', {"a": 1.0}),
        ("flags", '[1, "a", null]', [1, "a", None]),
    ],
)
def test_value_is_fitted_to_the_declared_type(name: str, given: object, expected: object) -> None:
    fitted = check_parameters({name: given}, DECLARED)
    found = next(values[name] for values in fitted.values() if name in values)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("iterations", "abc"),
        ("iterations", "5.0"),
        ("iterations", 5.0),
        ("iterations", True),
        ("iterations", "none"),
        ("test_size", "nan"),
        ("test_size", "half"),
        ("test_size", True),
        ("reuse", 1),
        ("reuse", "yes"),
        ("label", 5),
        ("label", None),
        ("models", "a"),
        ("models", "[1"),
        ("models", [1]),
        ("weights", '{"a": "b"}'),
        ("weights", "[]"),
    ],
)
def test_value_of_another_type_is_refused(name: str, given: object) -> None:
    with pytest.raises(ParameterError, match=f"{name} = .* is not of type"):
        check_parameters({name: given}, DECLARED)


def test_value_that_fits_no_notebook_is_one_problem() -> None:
    with pytest.raises(ParameterError) as caught:
        check_parameters({"label": 5}, DECLARED)
    assert caught.value.problem == "label = 5 is not of type str, as in 02_data, 04_examine."


def test_value_goes_to_every_notebook_that_declares_it() -> None:
    assert check_parameters({"label": "z"}, DECLARED) == {
        "02_data": {"label": "z"},
        "03_train": {},
        "04_examine": {"label": "z"},
    }


def test_unknown_name_gets_the_nearest_and_its_notebooks() -> None:
    with pytest.raises(ParameterError, match="'labl'; the nearest is 'label' \\(of 02_data, 04_examine\\)"):
        check_parameters({"labl": "z"}, DECLARED)


def test_all_problems_come_in_one_error() -> None:
    with pytest.raises(ParameterError) as caught:
        check_parameters({"labl": "z", "iterations": "x", "storage_key": "s3cr3t"}, DECLARED)
    assert all(part in caught.value.problem for part in ("3 problems", "labl", "iterations = 'x'", "storage_key"))


def test_secret_is_refused_and_not_repeated() -> None:
    with pytest.raises(ParameterError, match="pass the NAME of the variable") as caught:
        check_parameters({"access_token": "hunter2"}, {"00_a": [Parameter("access_token", "str", "", "", 1)]})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("api_key", True),
        ("storageAccountKey", True),
        ("TOKEN", True),
        ("db_password", True),
        ("credentials", True),
        ("client_secret", True),
        ("api_key_env", False),
        ("token_variable", False),
        ("tokenizer", False),
        ("monkeys", False),
        ("keyword", False),
        ("primary_metric", False),
    ],
)
def test_secrets_are_known_by_whole_words(name: str, secret: bool) -> None:
    assert looks_secret(name) is secret


def test_url_with_a_secret_is_refused_and_not_repeated() -> None:
    with pytest.raises(ParameterError, match="label is a URL with a password, key or signature") as caught:
        check_parameters({"label": "https://me:hunter2@host/x.csv"}, DECLARED)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        ("https://me:hunter2@host/x.csv", True),
        ("https://hunter2@host/x.csv", True),
        ("postgresql://me:hunter2@host/db", True),
        ("https://host/x.csv?sv=2026&sig=hunter2", True),
        ("https://host/x.csv?X-Amz-Credential=me&X-Amz-Signature=hunter2", True),
        ("https://host/x.csv?AWSAccessKeyId=me", True),
        ("https://host/x.csv?api-key=hunter2", True),
        (["x.csv", "https://host/x.csv?access_token=hunter2"], True),
        ('["https://me:hunter2@host/x.csv"]', True),
        ("https://host:8080/x@2.csv?raw=true&keyword=a&design=b", False),
        ("abfss://container@account.dfs.core.windows.net/x.csv", False),
        ("C:\\me\\x.csv", False),
        ("me: x@host?sig=1", False),
        (5, False),
        (None, False),
    ],
)
def test_secrets_in_urls_are_known(value: object, secret: bool) -> None:
    assert holds_secret(value) is secret


def test_text_that_no_file_can_hold_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"label = 'caf\\udce9' is not text in UTF-8"):
        check_parameters({"label": "caf\udce9"}, DECLARED)
