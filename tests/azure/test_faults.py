"""The SDK and this backend against a service that does not always answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nbhelpers.emulator.faults import Fault

from .conftest import PIPELINE, Run

if TYPE_CHECKING:
    from nbhelpers.emulator.launch import Emulator

#: Trains on few rows and follows the run to its end.
TRAINING = f"""
minutes = 15
{PIPELINE}
run = ml.Experiment(ws, "faults").submit(pipeline)
print(json.dumps(run.wait_for_completion(show_output=False)))
"""


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "Sign in with"),
        (403, "Have the owner"),
        (404, "See that config.json names"),
        (409, "The name is taken"),
        (429, "The service asks for a pause"),
        (503, "The service has a fault"),
    ],
)
def test_a_workspace_that_cannot_be_had(emulator: Emulator, program: Run, status: int, remedy: str) -> None:
    emulator.cloud.faults.append(Fault("GET https://management.azure.com/.*/workspaces/", status=status))
    assert f"To mend it: {remedy}" in program("", fails=True)


def test_a_run_is_followed_to_its_end_although_some_requests_fail(emulator: Emulator, program: Run) -> None:
    faults = [
        Fault("POST .*/experiments/faults", status=503, times=1),
        Fault("GET .*/datastores?/", status=500, times=1),
        Fault("PUT https://[^/]*blob", delay=1, times=1),
        Fault("GET .*/PipelineRuns/", status=429, times=2),
        Fault("GET .*/PipelineRuns/", drop=True, times=1),
        Fault("GET .*/history/", status=502, times=2),
        Fault("GET .*/history/", delay=2, times=1),
    ]
    emulator.cloud.faults.extend(faults)
    assert program(TRAINING) == "Finished"
    assert [fault.path for fault in faults if fault.times > 0] == []
