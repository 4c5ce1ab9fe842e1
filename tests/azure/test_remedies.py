from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient

from nbhelpers.azure.remedies import remedy_for, with_remedy

from .conftest import PIPELINE, Run

#: The words of the SDK, or of a service, and a part of the remedy.
CASES = [
    ("Value for argument [experiment_timeout_hours] is out of range (Range: [0.25 - 8760.0]).", "15 or more"),
    ("Response Code: 400\nContent: ClusterCoreQuotaReached", "Usage + quotas"),
    ("Response Code: 401\nHeaders: {}", "az login"),
    ("Response Code: 403\nHeaders: {}", "give this identity a role"),
    ("(AuthorizationFailed) The client does not have authorization to perform action", "give this identity a role"),
    ("Response Code: 409\nHeaders: {}", "the name is taken"),
    ('There is already a dataset registered under name "bank".', "the name is taken"),
    ("Response Code: 429", "wait some minutes"),
    ('It can be single value: string starting with "http://" or "https://"', "prepare_data, which uploads it"),
    ("The workspace configuration file config.json, could not be found in /a", "config_path"),
    ("Response Code: 503", "status.azure.com"),
    ("The requested stream was not found.", "default datastore"),
    ("Workspace not found.", "config.json names"),
    ("ComputeTargetNotFound: Compute Target with name a not found", "01_compute.ipynb"),
    ("HTTPSConnectionPool: Max retries exceeded with url", "HTTPS_PROXY"),
]


class SdkError(Exception):
    __module__ = "azureml.exceptions"


@pytest.mark.parametrize(("text", "remedy"), CASES)
def test_errors_of_the_sdk_have_a_remedy(text: str, remedy: str) -> None:
    assert remedy in (remedy_for(SdkError(text)) or "")


def test_the_status_of_an_answer_counts_also_where_the_text_does_not_say_it() -> None:
    error = SdkError("The request was refused.")
    error.status_code = 403  # type: ignore[attr-defined]
    assert "role" in (remedy_for(error) or "")


@pytest.mark.parametrize("error", [SdkError("Node 401 is up, 403 rows."), ValueError("Response Code: 403")])
def test_other_errors_are_shown_as_they_are(error: Exception) -> None:
    assert with_remedy(error) is error


def test_the_words_of_the_service_are_taken_out_of_its_json() -> None:
    shown = with_remedy(SdkError('Response Code: 403\nContent: {"error": {"code": "X", "message": "Not yours."}}'))
    assert str(shown).startswith("SdkError: Not yours.\nTo mend it: Have the owner")


def test_a_notebook_shows_the_remedy_and_the_sdks_error_stays_what_it_is() -> None:
    cells = [
        "from nbhelpers.azure.remedies import show_remedies\nshow_remedies()",
        "class Refused(Exception):\n    __module__ = 'azureml.exceptions'\nraise Refused('Response Code: 401')",
        "try:\n    raise Refused('Response Code: 401')\nexcept Refused as error:\n    print(error)",
        "1 / 0",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=60, kernel_name="python3", allow_errors=True).execute()
    _, refused, caught, other = (cell.outputs for cell in notebook.cells)
    assert refused[0].evalue.startswith("Refused: Response Code: 401\nTo mend it: Sign in with `az login`")
    assert "direct cause" in "\n".join(refused[0].traceback)
    assert caught[0].text == "Response Code: 401\n"
    assert other[0].ename == "ZeroDivisionError"


def test_less_than_15_minutes(program: Run) -> None:
    assert "set experiment_timeout_minutes to 15 or more" in program(f"minutes = 10\n{PIPELINE}", fails=True)
