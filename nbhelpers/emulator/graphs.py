"""The graphs of pipelines as the SDK sends them: checked when they arrive, and turned into what the engine runs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.local_graphs import local_graph
from nbhelpers.emulator.registrations import find_reference
from nbhelpers.emulator.searches import problems_of_inputs, search_step
from nbhelpers.emulator.state import State
from nbhelpers.errors import nearest
from nbhelpers.local.config import DATA, TABLES, VALIDATION, name_of
from nbhelpers.local.store import now
from nbhelpers.service.errors import invalid

#: What the SDK calls the kind of an AutoMLStep's module.
AUTOML = "AutoMLCloud"
#: The parameter of such a module that holds the settings.
CONFIG = "AutoMLConfig"


class _Open(BaseModel):
    """What has other members, too, which are kept."""

    model_config = ConfigDict(extra="allow")


class _TrainingOutput(_Open):
    TrainingOutputType: str
    Iteration: int | None = None
    Metric: str | None = None


class _Output(_Open):
    Name: str
    TrainingOutput: _TrainingOutput | None = None


class _Interface(_Open):
    Outputs: list[_Output] = []


class Module(_Open):
    """What a step runs, in the client's form."""

    Name: str
    ModuleExecutionType: str | None = None
    StepType: str | None = None
    IsDeterministic: bool | None = None
    IdentifierHash: str | None = None
    StructuredInterface: _Interface


class _Parameter(BaseModel):
    Name: str
    Value: Any = None


class _ModuleNode(BaseModel):
    Id: str
    ModuleId: str
    ModuleMetadataParameters: list[_Parameter] | None = None
    RegenerateOutput: bool | None = None


class _DataDefinition(BaseModel):
    ParameterName: str | None = None
    Value: dict[str, Any] | None = None


class _DatasetNode(BaseModel):
    Id: str
    DataSetDefinition: _DataDefinition | None = None


class _End(BaseModel):
    NodeId: str | None = None
    PortName: str | None = None
    GraphPortName: str | None = None


class _Edge(BaseModel):
    SourceOutputPort: _End
    DestinationInputPort: _End


class _SentGraph(BaseModel):
    ModuleNodes: list[_ModuleNode] = []
    DatasetNodes: list[_DatasetNode] = []
    Edges: list[_Edge] = []


@dataclass(frozen=True)
class Table:
    """A data set of a graph: the pipeline parameter that stands for it, or else the reference to it."""

    parameter: str | None
    reference: dict[str, Any] | None


@dataclass(frozen=True)
class Graph:
    """A graph of one AutoMLStep; get one with `read_graph`.

    Attributes
    ----------
    node_id, name : str
        Of the step.
    settings : dict
        As `nbhelpers.emulator.searches.check_sent_settings` reads them.
    tables : dict of str to Table
        The data sets by their names out of `nbhelpers.local.config.TABLES`.
    outputs : list of dict
        ``name``, ``pipeline_output_name`` and ``type`` of each.
    allow_reuse, regenerate_outputs : bool
    problems : list of str
        What the engine cannot do, which shows when the graph is run.
    """

    node_id: str
    name: str
    settings: dict[str, Any]
    tables: dict[str, Table]
    outputs: list[dict[str, Any]]
    allow_reuse: bool
    regenerate_outputs: bool
    problems: list[str]


def read_graph(cloud: State, graph: Mapping[str, Any]) -> Graph:
    """Read the graph of a request.

    Raises
    ------
    CloudError, HTTPProblem
        400 where it is anything but one AutoMLStep with training data.
    """
    try:
        sent = _SentGraph.model_validate(graph)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False, include_context=False, include_input=False)) from None
    found = [cloud.documents.get("module", node.ModuleId) for node in sent.ModuleNodes]
    if gone := [node.ModuleId for node, module in zip(sent.ModuleNodes, found, strict=True) if module is None]:
        raise CloudError(
            400,
            "ModuleNotFound",
            f"The graph refers to the module {gone[0][:100]!r}, which is not there. If it belongs to a run of the "
            "local backend, publish the run with that.",
        )
    modules = [Module.model_validate(module) for module in found]
    if len(modules) != 1:
        raise _unsupported(f"The pipeline has {len(modules)} steps ({', '.join(module.Name for module in modules)}).")
    (node,), (module,) = sent.ModuleNodes, modules
    check_module(module)
    inputs = _inputs(sent, node.Id)
    definitions = {str(name): node.DataSetDefinition for name, node in inputs.items() if name in TABLES}
    tables = {
        name: Table(definition.ParameterName, definition.Value)
        for name, definition in definitions.items()
        if definition is not None
    }
    for name in (DATA, *definitions):
        if name not in tables:
            raise _unsupported(f"The step {module.Name!r} has no data set as its input {name!r}.")
    outputs = [(port.Name, port.TrainingOutput) for port in module.StructuredInterface.Outputs if port.TrainingOutput]
    names = {edge.SourceOutputPort.PortName: edge.DestinationInputPort.GraphPortName for edge in sent.Edges}
    return Graph(
        node_id=node.Id,
        name=module.Name,
        settings=_settings(node, module.Name),
        tables=tables,
        outputs=[
            {"name": name, "pipeline_output_name": names.get(name), "type": output.TrainingOutputType}
            for name, output in outputs
        ],
        allow_reuse=module.IsDeterministic is not False,
        regenerate_outputs=node.RegenerateOutput is True,
        problems=[
            *problems_of_inputs(inputs),
            *(
                f"The output {name!r} is the model of an iteration or a metric: here it is the best one by the primary "
                "metric."
                for name, output in outputs
                if output.Iteration is not None or output.Metric is not None
            ),
        ],
    )


def check_module(module: Module) -> None:
    """Refuse a module that is no AutoMLStep, with 400."""
    if module.ModuleExecutionType != AUTOML:
        kind = module.StepType or module.ModuleExecutionType
        raise _unsupported(f"The step {module.Name!r} is of the kind {kind!r}.")


def definition_of(cloud: State, graph: Graph, data: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """What a graph says of the definition of a pipeline run in the local workspace: its ``steps`` and ``parameters``.

    Parameters
    ----------
    cloud : State
    graph : Graph
    data : mapping, optional
        By name of a pipeline parameter, the reference to the data set that it stands for.

    Raises
    ------
    CloudError
        404: there is no such data set.
    ConfigException
        It cannot be run: one error that lists all that is wrong.
    """
    problems, saved_ids, shown = list(graph.problems), dict[str, str](), dict[str, str | None]()
    for name, table in graph.tables.items():
        reference = (data or {}).get(table.parameter) if table.parameter else table.reference
        if reference is None:
            problems.append(f"The pipeline parameter {table.parameter!r} has no data set.")
        else:
            found = find_reference(cloud, reference)
            saved_ids[name], shown[name] = found.saved_id, found.name and f"{found.name}:{found.version}"
    step = search_step(
        cloud,
        graph.name,
        graph.settings,
        saved_ids,
        graph.outputs,
        allow_reuse=graph.allow_reuse,
        problems=problems,
    )
    step |= {"dataset": shown[DATA], "node_id": graph.node_id}
    if step["validation"]:
        step["validation"]["dataset"] = shown[VALIDATION]
    parameters = {
        table.parameter: {"setting": name, "type": "dataset", "default": name_of(step, name)}
        for name, table in graph.tables.items()
        if table.parameter
    }
    return {"steps": [step]} | ({"parameters": parameters} if parameters else {})


def keep_graph(cloud: State, graph: Mapping[str, Any], interface: Mapping[str, Any] | None) -> str:
    """Keep the graph of a request with its interface, and give the id under which both are found again."""
    graph_id = str(uuid.uuid4())
    nodes = [_named(cloud, node) for node in graph.get("DatasetNodes") or []]
    times = {"CreatedDate": now(), "LastModifiedDate": now()}
    entity = {**graph, "DatasetNodes": nodes, "Id": graph_id, "EntityStatus": "Active", "Etag": None, **times}
    cloud.documents.put("graph", graph_id, {"graph": entity, "interface": interface or {}})
    return graph_id


def kept_graph(cloud: State, graph_id: str) -> dict[str, Any]:
    """What was kept by `keep_graph`: the ``graph`` and its ``interface``; 404 if there is none.

    A pipeline run of the local backend has a graph, too, under its own id.
    """
    kept = cloud.documents.get("graph", graph_id)
    if kept is not None:
        return kept
    graph = local_graph(cloud, graph_id)
    if graph is None:
        raise CloudError(404, "NotFound", f"There is no graph {graph_id!r}.")
    return {"graph": graph, "interface": {}}


def check_names(interface: Mapping[str, Any] | None, given: Mapping[str, Any]) -> None:
    """Refuse values for pipeline parameters that a graph does not have, with 400."""
    known = [
        parameter["Name"]
        for kind in ("Parameters", "DataPathParameters", "DataPathParameterList")
        for parameter in (interface or {}).get(kind) or []
    ]
    if unknown := [name for name in given if name not in known]:
        near = nearest(unknown[0], known)
        hint = f"Did you mean {near!r}?" if near else f"It has: {', '.join(known) or 'none'}."
        raise CloudError(400, "BadRequest", f"The pipeline has no parameter {unknown[0][:100]!r}. {hint}")


def _unsupported(problem: str) -> CloudError:
    return CloudError(
        400,
        "UnsupportedStep",
        f"{problem} The emulator runs pipelines of one AutoMLStep with a tabular data set; run others on Azure.",
    )


def _inputs(graph: _SentGraph, node_id: str) -> dict[str | None, _DatasetNode]:
    """The nodes of data sets by the names of the step's inputs."""
    nodes = {node.Id: node for node in graph.DatasetNodes}
    ends = [(edge.SourceOutputPort.NodeId, edge.DestinationInputPort) for edge in graph.Edges]
    return {end.PortName: nodes[source] for source, end in ends if end.NodeId == node_id and source in nodes}


def _settings(node: _ModuleNode, name: str) -> dict[str, Any]:
    """The settings that an AutoMLStep carries: JSON in a member of JSON in a parameter."""
    parameters = {given.Name: given.Value for given in node.ModuleMetadataParameters or []}
    try:
        settings: dict[str, Any] = json.loads(json.loads(parameters[CONFIG])["aml_settings_json_string"])
    except (KeyError, TypeError, ValueError):
        raise CloudError(
            400, "BadRequest", f"The step {name!r} has no parameter {CONFIG!r} with settings as the SDK writes them."
        ) from None
    return settings


def _named(cloud: State, node: Mapping[str, Any]) -> dict[str, Any]:
    """The node of a data set with its name: by its id alone the SDK does not find it when it reads the graph again."""
    definition = node.get("DataSetDefinition") or {}
    reference = (definition.get("Value") or {}).get("DataSetReference")
    if not reference or reference.get("Name"):
        return dict(node)
    found = find_reference(cloud, definition["Value"])
    value = {**definition["Value"], "DataSetReference": {**reference, "Name": found.name}}
    return {**node, "DataSetDefinition": {**definition, "Value": value}}
