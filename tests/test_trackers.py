"""Trackers are told what a training came to, once, and a training never depends on them.

MLflow and W&B are not installed with sercache: fakes of what is used of them stand in, and where a package is there a
slow test uses it.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from conftest import Outcome

import sercache as package
from sercache.errors import MissingExtraError, SettingsError, UnknownNameError
from sercache.report import tracking

Sercache = Callable[..., Outcome]
TRAIN = ("train", "--head", "mlp", "--encoder", "logmel", "--dataset", "manifest")
FEW = ("--states", "all", "--set", "max-epochs=2", "--seeds", "1", "--dev", "next")
HAS = {name: importlib.util.find_spec(name) is not None for name in ("mlflow", "wandb")}


class Server:
    """What MLflow was told, of one or several runs."""

    def __init__(self) -> None:
        self.runs: dict[str, SimpleNamespace] = {}
        self.fault: Exception | None = None
        self.last_epochs = 10**6
        self.uris: set[str] = set()

    def client(self, tracking_uri: str) -> Any:
        self.uris.add(tracking_uri)
        return Client(self)


class Client:
    """The part of MlflowClient that is used."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def get_experiment_by_name(self, name: str) -> None:
        if self.server.fault and not self.server.runs:
            raise self.server.fault

    def create_experiment(self, name: str, artifact_location: str | None) -> str:
        return name

    def create_run(self, experiment: str, run_name: str, tags: dict[str, str]) -> Any:
        info = SimpleNamespace(run_id=f"r{len(self.server.runs)}", lifecycle_stage="active")
        kept = {"metrics": [], "params": {}, "files": [], "status": "RUNNING", "name": run_name}
        self.server.runs[info.run_id] = SimpleNamespace(info=info, tags=tags, **kept)
        return self.server.runs[info.run_id]

    def get_run(self, run_id: str) -> Any:
        return self.server.runs[run_id]

    def get_metric_history(self, run_id: str, key: str) -> list[Any]:
        return [each for each in self.server.runs[run_id].metrics if each.key == key]

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
        if self.server.fault:
            raise self.server.fault
        self.server.runs[run_id].metrics += metrics
        self.server.runs[run_id].params |= {each.key: each.value for each in params}

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        self.server.runs[run_id].tags[key] = value

    def log_artifact(self, run_id: str, path: str, place: str = "") -> None:
        assert Path(path).is_file()
        self.server.runs[run_id].files.append(f"{place}/{Path(path).name}".lstrip("/"))

    def set_terminated(self, run_id: str, status: str) -> None:
        self.server.runs[run_id].status = status


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """MLflow, in memory."""
    made = Server()
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("MLFLOW_DISABLE_TELEMETRY", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"):
        monkeypatch.setenv(name, "1")
    whole, entities, client = (
        ModuleType("mlflow"),
        ModuleType("mlflow.entities"),
        ModuleType("mlflow.tracking"),
    )
    names = ("key", "value", "timestamp", "step")
    entities.Metric = lambda *given: SimpleNamespace(**dict(zip(names, given, strict=True)))  # type: ignore[attr-defined]
    entities.Param = lambda key, value: SimpleNamespace(key=key, value=value)  # type: ignore[attr-defined]
    client.MlflowClient = made.client  # type: ignore[attr-defined]
    for module in (whole, entities, client):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return made


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """W&B, in memory."""
    made = SimpleNamespace(given={}, rows={}, summary={}, files=[], ended=None)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")

    def log(row: dict[str, Any], step: int | None = None) -> None:
        made.rows.setdefault(step, {}).update(row)

    def init(**given: Any) -> Any:
        made.given = given
        return SimpleNamespace(
            id="x", url=None, settings=SimpleNamespace(sync_dir="there"), log=log, summary=made.summary,
            log_artifact=lambda _: None, finish=lambda exit_code=0: setattr(made, "ended", exit_code),
        )  # fmt: skip

    fake: Any = ModuleType("wandb")
    fake.init, fake.Settings, fake.Image = init, lambda **given: given, lambda path: path
    fake.Artifact = lambda name, type: SimpleNamespace(add_file=made.files.append)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return made


def expected(run: Path) -> list[tuple[str, int, float]]:
    """Every training loss of a run: training, epoch and value, by its table."""
    rows = csv.DictReader((run / "epochs.csv").read_text(encoding="utf-8").splitlines())
    return sorted((row["fold"], int(row["number"]), float(row["train_loss"])) for row in rows)


def losses(run: Any) -> list[tuple[str, int, float]]:
    told = [each for each in run.metrics if each.key.startswith("train_loss/")]
    return sorted((each.key.split("fold-")[1].rpartition("-seed")[0], each.step, each.value) for each in told)


def train(sercache: Sercache, recordings: Path, *more: str) -> tuple[Path, Outcome]:
    done = sercache(*TRAIN, "--root", str(recordings), *FEW, "--name", "tracked", *more)
    assert done.code == 0, done.err
    return Path(os.environ["SERCACHE_RUNS"]) / "tracked", done


@pytest.mark.usefixtures("cached", "few_draws")
def test_each_tracker_has_all_of_a_run_once(
    sercache: Sercache, recordings: Path, server: Server, wandb: SimpleNamespace
) -> None:
    run, done = train(sercache, recordings, "--track", "mlflow,wandb", "--track")
    [told] = server.runs.values()
    assert losses(told) == expected(run)
    assert (told.name, told.status) == ("tracked", "FINISHED")
    assert server.uris == {f"sqlite:///{run.parent / 'mlflow.db'}"}
    assert told.params["encoder"] == "logmel"
    assert told.params["recipe.max_epochs"] == "2"
    assert {"head", "dataset", "protocol", "option.hidden"} <= told.params.keys()
    ua = json.loads((run / "report.json").read_text(encoding="utf-8"))["summary"]["ua"]
    results = {each.key: each.value for each in told.metrics if each.key.startswith("test/")}
    assert results["test/ua"] == ua["seeds"]["mean"]
    assert {"report.json", "epochs.csv"} <= set(told.files)
    assert wandb.given["mode"] == "offline"
    assert wandb.given["config"]["recipe.max_epochs"] == 2
    assert wandb.summary["test/ua"] == ua["seeds"]["mean"]
    assert sorted(wandb.rows) == [1, 2]
    values = [
        value for row in wandb.rows.values() for name, value in row.items() if name.startswith("train_loss/")
    ]
    assert sorted(values) == sorted(value for *_, value in expected(run))
    assert (str(run / "report.json") in wandb.files, wandb.ended) == (True, 0)
    assert "wandb sync there" in done.out + done.err
    assert not run.with_suffix(".partial").exists()
    events = read_events(run / "tensorboard")
    assert sorted(value for tag, value in events if tag == "train_loss") == pytest.approx(
        sorted(value for *_, value in expected(run))
    )
    assert dict(events)["hparam/test/ua"] == pytest.approx(ua["seeds"]["mean"])
    assert {"_hparams_/experiment", "_hparams_/session_start_info"} <= {tag for tag, _ in events}


def read_events(folder: Path) -> list[tuple[str, Any]]:
    """Tags and values of all events: records of a length, its checksum, an Event and a checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.rglob("events.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            [length] = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 12 + length + 4
            found += [
                (each.tag, each.image if each.HasField("image") else each.simple_value)
                for each in event.summary.value
            ]
    return found


@pytest.mark.draws
@pytest.mark.usefixtures("cached", "few_draws")
def test_figures_reach_a_tracker(
    sercache: Sercache, recordings: Path, server: Server, wandb: SimpleNamespace
) -> None:
    run, _ = train(sercache, recordings, "--track", "mlflow,wandb,tensorboard")
    png = (run / "plots" / "confusion.png").read_bytes()
    image = dict(read_events(run / "tensorboard"))["figures/confusion"]
    assert image.encoded_image_string == png
    assert (image.width, image.height) == struct.unpack(">II", png[16:24])
    [told] = server.runs.values()
    assert {"figures/confusion.png", "figures/learning-curves.png"} <= set(told.files)
    assert wandb.rows[None]["figures/confusion"] == str(run / "plots" / "confusion.png")


@pytest.mark.usefixtures("cached", "few_draws")
def test_a_run_that_was_cut_off_is_told_once(
    sercache: Sercache, recordings: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, left = Client.log_batch, [3]

    def cut_off(self: Client, run_id: str, metrics: Any = (), params: Any = ()) -> None:
        add(self, run_id, metrics, params)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    monkeypatch.setattr(Client, "log_batch", cut_off)
    words = (*TRAIN, "--root", str(recordings), *FEW, "--serial", "--name", "tracked", "--track", "mlflow")
    assert sercache(*words).code != 0
    assert len(next(iter(server.runs.values())).metrics) > 0
    run, _ = train(sercache, recordings, "--serial", "--track", "mlflow")
    [told] = server.runs.values()
    assert losses(told) == expected(run)


@pytest.mark.usefixtures("cached", "few_draws")
def test_a_tracker_that_fails_costs_no_training(
    sercache: Sercache, recordings: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Client, "log_batch", gone)
    run, done = train(sercache, recordings, "--track", "mlflow")
    assert done.err.count("training goes on") == 1
    assert done.err.count("mlflow does not have this run (OSError: [Errno 28]") == 1
    assert (run / "report.json").is_file()
    assert not run.with_suffix(".partial").exists()


@pytest.mark.usefixtures("cached", "few_draws")
def test_what_a_fault_cost_is_told_at_the_end(
    sercache: Sercache, recordings: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, n = Client.log_batch, [0]

    def flickers(self: Client, run_id: str, metrics: Any = (), params: Any = ()) -> None:
        n[0] += 1
        if n[0] == 2:
            raise ConnectionError("gone")
        add(self, run_id, metrics, params)

    monkeypatch.setattr(Client, "log_batch", flickers)
    run, done = train(sercache, recordings, "--track", "mlflow")
    assert done.err.count("ConnectionError: gone") == 1
    [told] = server.runs.values()
    assert losses(told) == expected(run)
    assert told.status == "FINISHED"


@pytest.mark.usefixtures("cached")
def test_a_server_that_is_not_there_is_refused_before_training(
    sercache: Sercache, recordings: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://nowhere")
    server.fault = ConnectionError("nobody answers\nat length")
    done = sercache(*TRAIN, "--root", str(recordings), *FEW, "--track", "mlflow")
    assert done.code == 2
    assert (
        "MLflow at http://nowhere cannot be used (ConnectionError: nobody answers); set MLFLOW_TRACKING_URI"
        in done.err
    )
    assert not list(Path(os.environ["SERCACHE_RUNS"]).glob("*/epochs.csv"))


@pytest.mark.parametrize(
    ("name", "module", "remedy"),
    [
        ("mlflow", "mlflow.tracking", "pip install mlflow-skinny"),
        ("wandb", "wandb", "pip install wandb"),
        ("tensorboard", "tensorboardX", r"pip install 'sercache\[track\]'"),
    ],
)
def test_a_package_that_is_missing_is_named_before_anything_else(
    name: str, module: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=remedy):
        package.train("linear", encoder="nothing", dataset="nothing", track=[name])
    monkeypatch.setitem(sys.modules, module, ModuleType(module))  # as a folder of that name is imported
    with pytest.raises(MissingExtraError, match=remedy):
        tracking.check([name])


def test_names_of_trackers() -> None:
    assert tracking.chosen(True) == ("tensorboard",)
    assert tracking.chosen(False) == tracking.chosen(()) == ()
    assert tracking.chosen(["mlflow,wandb", "mlflow"]) == ("mlflow", "wandb")
    with pytest.raises(UnknownNameError, match="wandb"):
        tracking.chosen(["wandbb"])
    with pytest.raises(SettingsError, match="track"):
        package.train("linear", encoder="nothing", dataset="nothing", track=5)


@pytest.mark.slow
@pytest.mark.skipif(not HAS["mlflow"], reason="MLflow is not installed: pip install mlflow-skinny")
@pytest.mark.usefixtures("cached", "few_draws")
def test_mlflow_itself_has_the_run(
    sercache: Sercache, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run, _ = train(sercache, recordings, "--track", "mlflow")
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{run.parent / 'mlflow.db'}")
    [kept] = client.search_runs([client.get_experiment_by_name("sercache").experiment_id])
    names = [name for name in kept.data.metrics if name.startswith("train_loss/")]
    values = [each.value for name in names for each in client.get_metric_history(kept.info.run_id, name)]
    assert sorted(values) == pytest.approx(sorted(value for *_, value in expected(run)))
    assert kept.data.params["encoder"] == "logmel"
    assert kept.info.status == "FINISHED"
    assert "report.json" in {each.path for each in client.list_artifacts(kept.info.run_id)}


@pytest.mark.slow
@pytest.mark.skipif(not HAS["wandb"], reason="W&B is not installed: pip install wandb")
@pytest.mark.usefixtures("cached", "few_draws")
def test_wandb_itself_has_the_run_offline(
    sercache: Sercache, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    run, done = train(sercache, recordings, "--track", "wandb")
    assert "does not have this run" not in done.err
    [kept] = run.parent.glob("wandb/offline-run-*/run-*.wandb")
    assert b"recipe.max_epochs" in kept.read_bytes()
