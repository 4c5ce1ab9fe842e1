from __future__ import annotations

import pytest

from nbhelpers.emulator.faults import Fault, parse
from nbhelpers.errors import UserErrorException

REQUEST = "GET https://westeurope.api.azureml.ms/history/v1.0/runs"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("/history/=503", Fault("/history/", status=503)),
        ("GET .*a=b=404x2", Fault("GET .*a=b", status=404, times=2)),
        ("x=drop", Fault("x", drop=True)),
        ("x=dropx10", Fault("x", drop=True, times=10)),
        ("x=3s", Fault("x", delay=3)),
        (".=0.25sx1", Fault(".", delay=0.25, times=1)),
    ],
)
def test_a_fault_is_described_by_where_what_and_how_often(text: str, fault: Fault) -> None:
    assert parse(text) == fault


@pytest.mark.parametrize(
    "text",
    ["", "=503", "503", "x=", "x=200", "x=600", "x=5030", "x=503x", "x=503x0", "x=503x-1", "x=3", "x=slow", "x=1e3s"],
)
def test_a_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UserErrorException, match="does not describe a fault"):
        parse(text)


def test_a_wrong_regular_expression_is_refused_with_its_mistake() -> None:
    with pytest.raises(UserErrorException, match=r"'\(' is not a regular expression: missing \)"):
        parse("(=503")


def test_a_fault_hits_so_many_requests_of_its_own() -> None:
    fault = parse("GET .*/history/=503x2")
    assert [fault.hits(REQUEST), fault.hits(f"P{REQUEST[1:]}"), fault.hits(REQUEST), fault.hits(REQUEST)] == [
        True,
        False,
        True,
        False,
    ]
