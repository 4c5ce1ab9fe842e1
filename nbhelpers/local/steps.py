"""What a pipeline is made of: steps and their outputs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nbhelpers.errors import UserErrorException
from nbhelpers.local.arguments import check_flags, check_text
from nbhelpers.local.config import AutoMLConfig
from nbhelpers.local.names import WrongValueError
from nbhelpers.local.workspace import Datastore


class TrainingOutput:
    """What of a training an output of an AutoMLStep holds.

    Parameters
    ----------
    type : {"Metrics", "Model"}
        The metrics of all children, or the best model; in any case of letters.

    Raises
    ------
    ValueError
        Another type, or a model chosen by `iteration` or `metric`: only the best child's model is kept here.
    """

    def __init__(self, type: str, iteration: int | None = None, metric: str | None = None) -> None:
        kinds = {"metrics": "Metrics", "model": "Model"}
        if str(type).lower() not in kinds:
            raise WrongValueError(
                f"type={type!r} is not an output of a training.", "use TrainingOutput('Metrics' or 'Model')"
            )
        if iteration is not None or metric is not None:
            raise WrongValueError(
                f"TrainingOutput(iteration={iteration!r}, metric={metric!r}): an output holds the best model by the "
                "primary metric, or the metrics of all children.",
                "leave iteration and metric out, and choose by primary_metric in AutoMLConfig",
            )
        self.type = kinds[str(type).lower()]


class PipelineData:
    """An output of a step.

    Parameters
    ----------
    name : str
        Letters, digits and underscores; the last part of the output's path.
    datastore : Datastore, optional
        The workspace has one only.
    pipeline_output_name : str, optional
        Name for `PipelineRun.get_pipeline_output`.
    training_output : TrainingOutput, optional
        What it holds; an AutoMLStep needs it.

    Raises
    ------
    ValueError
        The name does not follow the rule.
    UserErrorException
        `pipeline_output_name` or `training_output` has a wrong type.
    """

    def __init__(
        self,
        name: str,
        datastore: Datastore | None = None,
        pipeline_output_name: str | None = None,
        training_output: TrainingOutput | None = None,
    ) -> None:
        if not isinstance(name, str) or not re.fullmatch(r"\w+", name, re.ASCII):
            raise WrongValueError(
                f"{name!r} cannot be the name of a PipelineData.", "use letters, digits and underscores only"
            )
        check_text("pipeline_output_name", pipeline_output_name)
        if training_output is not None and not isinstance(training_output, TrainingOutput):
            raise UserErrorException(
                f"training_output of {name!r} is of type {type(training_output).__name__}.",
                "pass TrainingOutput(type='Metrics') or TrainingOutput(type='Model')",
            )
        self.name = name
        self.datastore = datastore
        self.pipeline_output_name = pipeline_output_name
        self.training_output = training_output

    def __repr__(self) -> str:
        return f"PipelineData(name={self.name!r}, pipeline_output_name={self.pipeline_output_name!r})"


class AutoMLStep:
    """A step that searches for the best model.

    Parameters
    ----------
    name : str
        Letters, digits, blanks and ``_ - .``; the paths of the default outputs end with it.
    automl_config : AutoMLConfig
    inputs, script_repl_params, hash_paths : optional
        The SDK's arguments for steps that depend on others or on scripts; refused unless empty.
    outputs : list of PipelineData, optional
        Each with a `training_output`.
    allow_reuse : bool, default True
        Take over the results of an earlier run with the same settings, data, engine and package versions.
    version : str, optional
        Part of what must be the same for reuse.
    enable_default_model_output, enable_default_metrics_output : bool, default True
        Make the outputs ``_default_model_<name>`` and ``_default_metrics_<name>``, too.

    Raises
    ------
    UserErrorException
        An argument cannot be used.
    """

    def __init__(
        self,
        name: str,
        automl_config: AutoMLConfig,
        inputs: Sequence[Any] | None = None,
        outputs: Sequence[PipelineData] | None = None,
        script_repl_params: Mapping[str, Any] | None = None,
        allow_reuse: bool = True,
        version: str | None = None,
        hash_paths: Sequence[str] | None = None,
        enable_default_model_output: bool = True,
        enable_default_metrics_output: bool = True,
    ) -> None:
        if not isinstance(name, str) or not re.fullmatch(r"[\w .-]+", name):
            raise UserErrorException(
                f"{name!r} cannot be the name of a step.",
                "use letters, digits, blanks and '_', '-', '.' only, as in 'automl_module'",
            )
        if not isinstance(automl_config, AutoMLConfig):
            raise UserErrorException(
                f"automl_config of step {name!r} is of type {type(automl_config).__name__}.", "pass an AutoMLConfig"
            )
        unused = {"inputs": inputs, "script_repl_params": script_repl_params, "hash_paths": hash_paths}
        if given := [argument for argument, value in unused.items() if value]:
            raise UserErrorException(
                f"Step {name!r} has {', '.join(given)}, which a local AutoMLStep has no use for.",
                "leave them out; the data goes into AutoMLConfig(training_data=…)",
            )
        check_text("version", version)
        check_flags(
            {
                "allow_reuse": allow_reuse,
                "enable_default_model_output": enable_default_model_output,
                "enable_default_metrics_output": enable_default_metrics_output,
            }
        )
        if not isinstance(outputs, list | tuple | None):
            raise UserErrorException(f"outputs={outputs!r} is not a list.", "write outputs=[metrics_data, model_data]")
        defaults = {"Model": enable_default_model_output, "Metrics": enable_default_metrics_output}
        self.name = name
        self.automl_config = automl_config
        self.allow_reuse = allow_reuse
        self.version = version
        self.outputs = [_output(data) for data in outputs or []] + [
            {
                "name": f"default_{kind.lower()}_{name}",
                "pipeline_output_name": f"_default_{kind.lower()}_{name}",
                "type": kind,
            }
            for kind, wanted in defaults.items()
            if wanted
        ]

    def definition(self) -> dict[str, Any]:
        """All that a worker needs to run the step, as JSON."""
        return self.automl_config.definition() | {
            "name": self.name,
            "outputs": self.outputs,
            "allow_reuse": self.allow_reuse,
            "version": self.version,
        }

    def __repr__(self) -> str:
        return f"AutoMLStep(name={self.name!r})"


def _output(data: PipelineData) -> dict[str, Any]:
    if not isinstance(data, PipelineData) or data.training_output is None:
        raise UserErrorException(
            f"The output {data!r} of an AutoMLStep does not say what it holds.",
            "pass PipelineData(name, training_output=TrainingOutput(type='Metrics' or 'Model'))",
        )
    return {
        "name": data.name,
        "pipeline_output_name": data.pipeline_output_name,
        "type": data.training_output.type,
    }
