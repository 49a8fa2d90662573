"""MLflow: one run a run, followed live by every process that shares its trainings.

The server, which may be a file, knows what it was told: a training that is begun again adds what is new.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sercache import files
from sercache.errors import FileError, SettingsError
from sercache.record import Report
from sercache.report.tracking._told import (
    figures_in,
    files_in,
    line_of,
    results_of,
    scores_of,
    settings_of,
    training_name,
)

NEEDS = ("mlflow.tracking", "MlflowClient")
INSTALL = "pip install mlflow-skinny sqlalchemy alembic (or mlflow)"
_NOTED, _STORE, _FILES = "mlflow-{}.json", "mlflow.db", "mlflow-artifacts"
_MOST = 500
"""Values a request; MLflow takes 1,000."""
_LONGEST = 500
"""Letters of a value: servers of before took no more."""
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
"""Where the user says nothing: nothing is sent to MLflow's makers, and a server that is gone does not hold up."""


class MlflowRun:
    """A run on the server, and the last epoch that it has of each training."""

    def __init__(self, client: Any, run_id: str, where: str) -> None:
        self.client, self.id, self.where = client, run_id, where
        self._last: dict[str, int] = {}

    def epoch(self, fold: str, seed: int, epoch: Mapping[str, Any]) -> None:
        """Add an epoch."""
        self.add(fold, seed, (epoch,))

    def add(self, fold: str, seed: int, epochs: Iterable[Mapping[str, Any]]) -> None:
        """Add those of the epochs of a training that the server does not have."""
        from mlflow.entities import Metric

        name, now = _named(training_name(fold, seed)), int(time.time() * 1000)
        if name not in self._last:
            had = self.client.get_metric_history(self.id, f"train_loss/{name}")
            self._last[name] = max((each.step for each in had), default=0)
        new = [each for each in epochs if each["number"] > self._last[name]]
        told = [
            Metric(f"{what}/{name}", value, now, each["number"])
            for each in new
            for what, value in scores_of(each).items()
        ]
        for at in range(0, len(told), _MOST):
            self.client.log_batch(self.id, metrics=told[at : at + _MOST])
        if new:
            self._last[name] = new[-1]["number"]

    def close(self) -> None:
        """The run stays open: another process may go on with it."""


def begin_anew(partial: Path) -> None:
    """The run goes on: what it has of an epoch is not told again."""


def following(partial: Path, experiment: str) -> MlflowRun:
    """The run of this experiment, the one that an earlier attempt began if there is one.

    Raises SettingsError where the server, or the file, cannot be used.
    """
    uri = _uri(partial)
    try:
        return _run(uri, partial, experiment, partial.stem)
    except Exception as fault:  # of HTTP, of databases, of MLflow
        raise SettingsError(
            f"MLflow at {uri} cannot be used ({line_of(fault)}); set MLFLOW_TRACKING_URI, or leave --track mlflow out"
        ) from fault


def finished(report: Report, folder: Path, partial: Path) -> str:
    """Every epoch that is not there, hyper-parameters, results, figures and files; gives where they are."""
    from mlflow.entities import Metric, Param

    experiment = report.experiment.digest if report.experiment else ""
    run = _run(_uri(partial), partial, experiment, folder.name)
    for each in report.runs:
        run.add(each.fold, each.seed, each.history)
    settings = [Param(_named(name), str(value)[:_LONGEST]) for name, value in settings_of(report).items()]
    for at in range(0, len(settings), 100):  # as many as MLflow takes at once
        run.client.log_batch(run.id, params=settings[at : at + 100])
    now = int(time.time() * 1000)
    results = [Metric(_named(name), value, now, 0) for name, value in results_of(report).items()]
    run.client.log_batch(run.id, metrics=results)
    run.client.set_tag(run.id, "sercache.result", report.told)
    for path in files_in(folder):
        run.client.log_artifact(run.id, str(path))
    for path in figures_in(folder).values():
        run.client.log_artifact(run.id, str(path), "figures")
    run.client.set_terminated(run.id, "FINISHED")
    return f"MLflow run {run.id} at {run.where}"


def forget(partial: Path) -> None:
    """Remove the notes of which runs were begun."""
    for path in partial.glob(_NOTED.format("*")):
        path.unlink(missing_ok=True)


def _named(name: str) -> str:
    """A name in the letters that MLflow takes."""
    return re.sub(r"[^\w./ -]", "_", name)


def _uri(partial: Path) -> str:
    """Where the user says that MLflow is, else a file beside the runs."""
    own = (partial.parent / _STORE).absolute()
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{own}"


def _run(uri: str, partial: Path, experiment: str, name: str) -> MlflowRun:
    """The run that was begun for this experiment, or a new one, noted in ``partial``."""
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    note = partial / _NOTED.format(experiment[:16])
    begun = _begun(note, uri)
    if begun and client.get_run(begun).info.lifecycle_stage == "active":
        return MlflowRun(client, begun, uri)
    run = client.create_run(_experiment(client, uri, partial), run_name=name, tags={"sercache": experiment})
    files.write_json(note, {"uri": uri, "run": run.info.run_id})
    return MlflowRun(client, run.info.run_id, uri)


def _experiment(client: Any, uri: str, partial: Path) -> str:
    """The id of MLflow's experiment; files of one in a file beside the runs lie beside them too."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "sercache")
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    is_ours = not os.environ.get("MLFLOW_TRACKING_URI")
    place = (partial.parent / _FILES).absolute().as_uri() if is_ours else None
    return str(client.create_experiment(name, artifact_location=place))


def _begun(note: Path, uri: str) -> str:
    """The run that an earlier attempt began on this server; empty where there is none."""
    if not note.is_file():
        return ""
    try:
        noted = files.read_json(note, "")
        return str(noted["run"]) if noted["uri"] == uri else ""
    except (FileError, ValueError, KeyError, TypeError):  # cut off while it was written
        return ""
