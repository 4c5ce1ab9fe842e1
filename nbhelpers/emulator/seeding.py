"""What an emulated workspace has from the beginning: a registered data set and a compute target."""

from __future__ import annotations

import json

from nbhelpers.bundled import bundled_data
from nbhelpers.emulator.names import DATA_CONTAINER, DATASTORE, RESOURCE_GROUP, SUBSCRIPTION, WORKSPACE
from nbhelpers.emulator.registrations import REGISTERED, Definition, Registration, register
from nbhelpers.emulator.state import State
from nbhelpers.local.compute import AmlCompute, ComputeTarget

COMPUTE, NODES = "automl-compute", 4
DATASET = "bank-marketing-dataset"

_PARQUET = """\
---
type: mltable
paths:
  - pattern: "{path}"
transformations:
  - read_parquet:
      path_column: Path
      include_path_column: false
metadata:
  infer_column_types: "False"
"""


def provide(cloud: State) -> None:
    """Make the compute target and register the bundled training set, each only if its name is free.

    Parameters
    ----------
    cloud : State
    """
    if COMPUTE not in cloud.workspace.compute_targets:
        nodes = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=NODES)
        ComputeTarget.create(cloud.workspace, COMPUTE, nodes)
    if cloud.documents.get(REGISTERED, DATASET) is None:
        bundle = bundled_data("bank-marketing-twin")
        blob = f"{bundle.name}/{bundle.train.name}"
        cloud.blobs.put(DATA_CONTAINER, blob, bundle.train.read_bytes())
        definition = Definition(dataflow=_parquet(blob))
        tags = {"label": bundle.label, "task": bundle.task, "synthetic": "yes"}
        register(cloud, Registration(name=DATASET, latest=definition, description=bundle.description, tags=tags))


def _parquet(blob: str) -> str:
    """The definition of a data set of a Parquet file in the data store, as the SDK writes it."""
    workspace = f"subscriptions/{SUBSCRIPTION}/resourcegroups/{RESOURCE_GROUP}/workspaces/{WORKSPACE}"
    path = f"azureml://{workspace}/datastores/{DATASTORE}/paths/{blob}"
    return json.dumps({"blocks": [], "meta": {"RsDataflow": _PARQUET.format(path=path)}})
