"""Two batches of the real notebooks at once, in a workspace that neither of them finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from .test_chain import STAGES, read, start


@pytest.mark.parametrize("max_nodes", [4, 1])
def test_two_chains_at_once_in_an_empty_folder_both_finish_with_the_same_result(tmp_path: Path, max_nodes: int) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(size=300), "colour": rng.choice(["red", "blue", "green"], 300)})
    frame["sold"] = np.where(frame["size"] + (frame["colour"] == "red") + rng.normal(size=300) > 0.5, "yes", "no")
    frame.to_csv(tmp_path / "sales.csv", index=False)
    values = ["-p", "data", str(tmp_path / "sales.csv"), "-p", "label", "sold", "-p", "iterations", "4"]
    folders = [tmp_path / "one", tmp_path / "two"]
    chains = [
        start(tmp_path / "home", *values, "-p", "max_nodes", str(max_nodes), "--output", str(folder))
        for folder in folders
    ]
    for chain in chains:
        _, errors = chain.communicate(timeout=300)
        assert chain.returncode == 0, errors
    records, outputs = zip(*map(read, folders), strict=True)
    for record in records:
        assert [(stage["name"], stage["status"]) for stage in record["stages"]] == [
            (name, "finished") for name in STAGES
        ]
    assert outputs[0]["03_train"]["run_id"] != outputs[1]["03_train"]["run_id"]
    assert outputs[0]["03_train"]["best_score"] == outputs[1]["03_train"]["best_score"]
    assert outputs[0]["05_test"]["metrics"] == outputs[1]["05_test"]["metrics"]
