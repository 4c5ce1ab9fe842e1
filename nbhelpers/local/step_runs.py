"""The run of a step, here of an AutoML step: its outputs, children, best model and guardrails."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nbhelpers.errors import ModelError, UserErrorException, nearest
from nbhelpers.local.models import load, model_file
from nbhelpers.local.outputs import PortDataReference
from nbhelpers.local.processes import RUNNING, log_file
from nbhelpers.local.runs import PipelinePart, Run
from nbhelpers.local.store import runs
from nbhelpers.local.waiting import follow_step, wait
from nbhelpers.metrics import greater_is_better

if TYPE_CHECKING:
    from nbhelpers.local.registry import Model

STARS = "*" * 100

#: What the service says of a search that ended before its iterations did.
WARNINGS = {
    "early_stopping": "No scores improved over last {} iterations, so experiment stopped early. This early stopping "
    "behavior can be disabled by setting enable_early_stopping = False in AutoMLConfig for notebook/python SDK runs.",
    "experiment_timeout": "Experiment timeout reached, hence experiment stopped.",
    "exit_score": "Experiment exit score reached, hence experiment stopped.",
}


class StepRun(PipelinePart):
    """The run of a step of a pipeline; here always an `AutoMLRun`."""

    kind = "step"

    @property
    def log_path(self) -> Path:
        """The log of the worker process."""
        return log_file(self._store, self._original())

    def wait_for_completion(
        self, show_output: bool = True, timeout_seconds: float = sys.maxsize, raise_on_error: bool = True
    ) -> str:
        """As `PipelineRun.wait_for_completion`, for this step."""

        def follow(say: Any, deadline: float) -> None:
            follow_step(self, say, deadline)

        return wait(self, follow, show_output, timeout_seconds, raise_on_error)

    def get_stdout_log(self) -> str:
        """The log of the worker process, which has what it writes to standard error, too."""
        return self.get_logs()

    get_job_log = get_stderr_log = get_stdout_log

    def get_outputs(self) -> dict[str, PortDataReference]:
        """The outputs by the names of their PipelineData."""
        original = self._original()
        return {
            output["name"]: PortDataReference(
                self._store.run_folder(original) / "outputs" / f"{output['type'].lower()}_data",
                f"azureml/{original}/{output['name']}",
            )
            for output in self._row()["definition"]["outputs"]
        }

    def get_output_data(self, name: str) -> PortDataReference:
        """One output, by the name of its PipelineData."""
        outputs = self.get_outputs()
        if name not in list(outputs):
            raise UserErrorException(
                f"Step {self.name!r} has no output {name!r}.", f"use one of: {', '.join(outputs) or 'none'}"
            )
        return outputs[name]

    def get_children(self) -> Iterator[Run]:
        """The child runs so far, by iteration; those of the original run where a run was reused."""
        original = self._original()
        experiment = self.experiment if original == self.id else Run.get(self.experiment.workspace, original).experiment
        mine = sa.select(runs.c.id).where(runs.c.parent_id == original)
        for row in self._store.all(mine.order_by(runs.c.number)):
            yield Run(experiment, row["id"])

    def _original(self) -> str:
        """The id of the step run that made the outputs: this one, or the one it reuses."""
        return self.properties.get("azureml.reusedrunid", self.id)

    def _folder(self) -> Path:
        return self._store.run_folder(self._original())

    def _pipeline_id(self) -> str:
        return str(self._parent_id)

    def _warnings(self, properties: Mapping[str, str]) -> list[dict[str, str]]:
        message = WARNINGS.get(properties.get("ended_by", ""))
        if message is None:
            return []
        window = json.loads(properties["AMLSettingsJsonString"])["early_stopping_n_iters"]
        return [{"source": "nbhelpers", "message": message.format(window)}]


class AutoMLRun(StepRun):
    """The run of an AutoML step."""

    def get_metrics(self, name: str | None = None) -> dict[str, Any]:
        """The metrics of the best child, or only one of them; empty before there is a best child."""
        best = self.tags.get("automl_best_child_run_id")
        return next((child.get_metrics(name) for child in self.get_children() if child.id == best), {})

    def get_best_child(self, metric: str | None = None) -> Run:
        """The best of the completed children.

        Parameters
        ----------
        metric : str, optional
            Judge by this metric; default: the child that the search has chosen, whose model is stored.

        Raises
        ------
        UserErrorException
            No child has completed, or they have no such metric.
        """
        scores = {child: child.get_metrics() for child in self.get_children() if child.get_status() == "Completed"}
        if not scores:
            raise UserErrorException(
                f"Run {self.id} has no completed child run.", "wait with run.wait_for_completion(), or read its log"
            )
        if metric is None and (best := self.tags.get("automl_best_child_run_id")):
            return next(child for child in scores if child.id == best)
        metric = metric or self.properties["primary_metric"]
        known = [name for name, value in next(iter(scores.values())).items() if isinstance(value, float)]
        if metric not in known:
            near = nearest(metric, known)
            raise UserErrorException(
                f"The child runs have no metric {metric!r}; they have: {', '.join(known)}.",
                f"use {near!r}" if near else "use one of these names",
            )
        sign = 1 if greater_is_better(metric) else -1
        # A metric that could not be computed is NaN, which no comparison ranks.
        ranked = {child: sign * value[metric] for child, value in scores.items() if value[metric] == value[metric]}
        if not ranked:
            raise UserErrorException(f"No child run has a number for {metric!r}.", "use another metric")
        return max(ranked, key=lambda child: ranked[child])

    def get_output(self, iteration: int | None = None, metric: str | None = None) -> tuple[Run, Any]:
        """The best child and its model.

        A run keeps the model of its best child. That of another one is fitted again, in this process, when it is first
        asked for.

        Parameters
        ----------
        iteration : int, optional
            The child of this iteration instead.
        metric : str, optional
            The best child by this metric instead.

        Returns
        -------
        child_run : Run
        fitted_model : sklearn.pipeline.Pipeline

        Raises
        ------
        UserErrorException
            Both arguments were given, or there is no such completed child.
        ModelError
            The run keeps no model, it cannot be loaded, or that of another child not be fitted.
        """
        if iteration is not None and metric is not None:
            raise UserErrorException("Both iteration and metric were given.", "give one of the two, or none")
        child = self.get_best_child(metric) if iteration is None else self._child(iteration)
        if child.id != self.tags.get("automl_best_child_run_id") and (iteration, metric) != (None, None):
            from nbhelpers.local.child_models import child_model_file

            step = self._store.one(sa.select(runs).where(runs.c.id == self._original()))
            assert step is not None  # noqa: S101 - it has a child
            return child, load(child_model_file(self._store, dict(step), child.id), self.experiment.workspace)
        file = model_file(self._store, self._original())
        if not file.is_file():
            status = self.get_status()
            raise ModelError(
                f"Run {self.id} is {status}, and keeps no model.",
                "wait with run.wait_for_completion(): a run writes its model at its end"
                if status in RUNNING
                else "run the pipeline again with regenerate_outputs=True: its files were cleaned away"
                if status == "Finished"
                else "go on where it stopped with pipeline_run.continue_run(), or run the pipeline again",
            )
        return child, load(file, self.experiment.workspace)

    def register_model(
        self,
        model_name: str,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        iteration: int | None = None,
        metric: str | None = None,
    ) -> Model:
        """Register the model of the run under a name, as its next version.

        Parameters
        ----------
        model_name : str
            1 to 255 letters, digits, ``-``, ``_`` and ``.``, the first a letter or digit.
        description : str, optional
        tags : mapping of str to str, optional
        iteration, metric
            As in `get_output`.

        Raises
        ------
        ModelError
            The model was not kept, or cannot be loaded.
        UserErrorException
            An argument is wrong.
        """
        from nbhelpers.local.registry import register

        child, _ = self.get_output(iteration, metric)  # which refuses a model that could not be used
        if child.id != self.get_best_child().id:
            raise ModelError(
                f"Child run {child.id} is not the best one, and only the best model of a run can be registered.",
                "leave iteration and metric out, or train with another primary_metric",
            )
        digest = self.properties["model_digest"]
        return register(self.experiment.workspace, self._original(), digest, model_name, description, tags)

    def get_guardrails(self, to_console: bool = True) -> dict[str, Any]:
        """What was checked in the data before training.

        Parameters
        ----------
        to_console : bool, default True
            Print it, too.

        Returns
        -------
        dict
            ``schema_type``, ``schema_version`` and ``faults``, a list with ``type``, ``result``, ``friendly_type``,
            ``friendly_result``, ``parameters`` … of each check. Empty if the run has none.
        """
        file = self._folder() / "outputs" / "verifier_results.json"
        found: dict[str, Any] = json.loads(file.read_bytes()) if file.is_file() else {}
        if to_console:
            _print_guardrails(found.get("faults", []))
        return found

    def summary(self) -> list[list[Any]]:
        """A row for each algorithm: its name, the number of its children, and their best score."""
        sign = 1 if greater_is_better(self.properties["primary_metric"]) else -1
        rows: dict[str, list[Any]] = {}
        for child in self.get_children():
            facts = child.properties
            row = rows.setdefault(facts["run_algorithm"], [facts["run_algorithm"], 0, float("nan")])
            row[1] += 1
            score = float(facts["score"]) if facts["score"] else float("nan")
            if row[2] != row[2] or sign * score > sign * row[2]:
                row[2] = score
        return list(rows.values())

    def get_default_metrics_output(self) -> PortDataReference:
        """The metrics of all children, an output that every AutoMLStep has unless it was switched off."""
        return self.get_output_data(f"default_metrics_{self.name}")

    def get_default_model_output(self) -> PortDataReference:
        """The best model, an output that every AutoMLStep has unless it was switched off."""
        return self.get_output_data(f"default_model_{self.name}")

    def _child(self, iteration: int) -> Run:
        for child in self.get_children():
            if child.properties["iteration"] == str(iteration):
                if child.get_status() == "Completed":
                    return child
                raise UserErrorException(
                    f"Child run {child.id} is {child.get_status()}, so it has no model.", "choose a completed one"
                )
        raise UserErrorException(
            f"Run {self.id} has no child run of iteration {iteration!r}.",
            "choose one of [child.properties['iteration'] for child in run.get_children()]",
        )


def _print_guardrails(faults: list[dict[str, Any]]) -> None:
    if not faults:
        print("The run has no guardrail data.")
        return
    print(f"\n{STARS}\nDATA GUARDRAILS:\n")
    for fault in faults:
        print(f"TYPE:         {fault.get('friendly_type', fault['type'])}")
        print(f"STATUS:       {str(fault['result']).upper()}")
        print(f"DESCRIPTION:  {fault.get('friendly_result', '')}")
        if link := fault.get("friendly_learn_more"):
            print(f"              Learn more: {link}")
        if parameters := fault.get("friendly_parameters") or fault.get("parameters"):
            print("DETAILS:")
            for row in parameters if isinstance(parameters, list) else [parameters]:
                print("  " + ", ".join(f"{name}: {value}" for name, value in row.items()))
        print(f"\n{STARS}\n")
