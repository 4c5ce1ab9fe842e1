from __future__ import annotations

import json

from nbhelpers.bundled import bundled_data
from nbhelpers.emulator.names import DATA_CONTAINER
from nbhelpers.emulator.registrations import get_registered, registered_names, unregister
from nbhelpers.emulator.seeding import provide
from nbhelpers.emulator.state import State
from nbhelpers.local import AmlCompute, ComputeTarget


def test_a_new_workspace_has_the_compute_target_and_the_data_set(cloud: State) -> None:
    provide(cloud)
    target = ComputeTarget(cloud.workspace, "automl-compute")
    dataset = get_registered(cloud, "bank-marketing-dataset")
    blob = cloud.blobs.get(DATA_CONTAINER, "bank-marketing-twin/train.parquet")

    assert target.max_nodes == 4
    assert "Synthetic" in dataset["description"]
    assert dataset["tags"]["label"] == "y"
    assert blob is not None
    assert blob.path.read_bytes() == bundled_data("bank-marketing-twin").train.read_bytes()
    assert blob.name in json.loads(dataset["latest"]["dataflow"])["meta"]["RsDataflow"]


def test_what_is_there_already_is_left_alone(cloud: State) -> None:
    ComputeTarget.create(cloud.workspace, "automl-compute", AmlCompute.provisioning_configuration(max_nodes=1))
    provide(cloud)
    first = get_registered(cloud, "bank-marketing-dataset")
    provide(cloud)

    assert ComputeTarget(cloud.workspace, "automl-compute").max_nodes == 1
    assert get_registered(cloud, "bank-marketing-dataset") == first


def test_what_was_removed_comes_back(cloud: State) -> None:
    provide(cloud)
    ComputeTarget(cloud.workspace, "automl-compute").delete()
    unregister(cloud, "bank-marketing-dataset")
    provide(cloud)

    assert ComputeTarget(cloud.workspace, "automl-compute").max_nodes == 4
    assert registered_names(cloud) == ["bank-marketing-dataset"]
