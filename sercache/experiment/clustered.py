"""A verb done by workers (``--cluster``): each runs it as it was asked for, and they share the work by claims."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sercache import cluster, machine, progress, settings, text
from sercache.cluster import Where
from sercache.errors import AudioError, LeftOutError, SettingsError
from sercache.experiment.options import settings_of

FOLDER = ".cluster"
"""In the cache, or beside the runs: what workers say, until all is done."""
_PASSED_ON = ("SERCACHE_", "HF_HOME", "HF_HUB_", "HF_ENDPOINT", "TRANSFORMERS_")
"""Beginnings of variables."""


def asked(request: Any) -> bool:
    """Whether a request is for workers. Raises SettingsError for options of workers without any."""
    if request.cluster is None and (request.cluster_options or request.lifetime is not None):
        raise SettingsError("--cluster-option and --lifetime are of workers: give --cluster too")
    return request.cluster is not None


_FIELDS = ("cluster", "cluster_options", "lifetime")


def without(record: Mapping[str, Any]) -> dict[str, Any]:
    """A request as JSON values, without what starts workers: it decides nothing."""
    return {name: value for name, value in record.items() if name not in _FIELDS}


def alone(request: Any) -> Any:
    """The request as one process, or each worker, is given it."""
    return dataclasses.replace(request, cluster=None, cluster_options=(), lifetime=None)


def runs_folder(request: Any) -> Path:
    """The folder that runs are written to."""
    return Path(settings.load().value("runs", request.runs).value).expanduser()


def run(verb: str, request: Any, shared: Path, *, has_objects: bool = False, **more: Any) -> dict[str, Any]:
    """Have ``verb`` done as ``request`` says; gives what the workers' call of it gave, as JSON values.

    ``shared`` is a folder that all of them see: the cache or the runs; ``more`` is what the verb takes beside its
    options. Objects at hand cannot be sent. Raises SettingsError, ClusterError, what workers refuse as ClusterError,
    and AudioError or LeftOutError as the verb does at its end.
    """
    if has_objects:
        raise SettingsError("cluster= sends names to workers: give encoder, corpus and head by name or file")
    where = cluster.parse(request.cluster, request.cluster_options)
    lifetime = None if request.lifetime is None else cluster.seconds(request.lifetime)
    options = settings_of(alone(request))
    how = text.reading()
    options |= {name: value for name in ("encoding", "labels_as_written") if (value := getattr(how, name))}
    folder = (shared / FOLDER).absolute()
    call = cluster.Call(
        (sys.executable, "-m", "sercache.api._member"),
        {"verb": verb, "options": options, "more": more},
        str(folder),
        _environment(),
        os.getcwd(),  # noqa: PTH109 - a text is sent
    )
    with cluster.started(
        where, folder, cards=_cards(where, request), lifetime=lifetime, cores=machine.cores()
    ) as engine:
        progress.used("cluster", f"{where}, {engine.n_workers} worker{'s' * (engine.n_workers > 1)}")
        told = _Told()
        try:
            done = cluster.share(
                call,
                engine.executor,
                engine.n_workers,
                environments=engine.environments,
                watch=told.look,
                note=progress.warn,
            )
        finally:
            told.close()
    told.take(done.said.splitlines())  # where the first worker did not come to the end
    return _result(done.said)


def _environment() -> dict[str, str]:
    """What workers see too, whatever a scheduler passes on: this sercache, its settings, the hub's."""
    here = str(Path(__file__).parents[2])
    passed_on = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    return {**passed_on, "PYTHONPATH": os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))}


def _cards(where: Where, request: Any) -> Sequence[str]:
    """Graphics cards of this host that its workers use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    if where.kind != "local" or getattr(request, "device", None) == "cpu":
        return ()
    import torch

    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    n_cards = torch.cuda.device_count()
    return (seen.split(",") if seen else [str(number) for number in range(n_cards)])[:n_cards]


def _result(said: str) -> dict[str, Any]:
    """What a worker's call gave. Raises AudioError or LeftOutError where that is a complaint."""
    result: dict[str, Any] = json.loads(said.splitlines()[-1])["result"]
    if "complaint" in result:
        if result["kind"] is None:
            raise LeftOutError(result["complaint"])
        raise AudioError(result["complaint"], result["kind"])
    return result


class _Told:
    """Passes on what the first worker reports, each line once, and how far all are."""

    def __init__(self) -> None:
        self._n_told = 0
        self._bar: Any = None

    def look(self, folder: Path) -> None:
        """Pass on what is new in the folder of the members."""
        self.take(_lines(folder / "0.out"))
        self._show([json.loads(each.read_text()) for each in folder.glob("*" + cluster.PROGRESS)])

    def take(self, lines: Sequence[str]) -> None:
        """Pass on what a worker said beyond what was told: one in the place of another says the same again."""
        for line in lines[self._n_told :]:
            _pass_on(json.loads(line))
        self._n_told = max(self._n_told, len(lines))

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    def _show(self, found: Sequence[dict[str, Any]]) -> None:
        """The furthest of the bars that have gone furthest in the work: each worker counts what others did too."""
        if not found:
            return
        here = max(found, key=lambda each: each["n"])
        if self._bar is None or self._bar.total != here["total"]:
            self.close()
            self._bar = progress.bar(desc=here["desc"], total=here["total"], unit=here["unit"])
        self._bar.update(max(0, here["n"] - self._bar.n))


def _lines(path: Path) -> list[str]:
    """Whole lines of a file that is being written."""
    try:
        return path.read_text(errors="replace").rpartition("\n")[0].splitlines()
    except FileNotFoundError:
        return []


def _pass_on(report: dict[str, Any]) -> None:
    if "line" in report:
        progress.say(report["line"])
    elif "used" in report:
        progress.used(*report["used"])
    elif "note" in report:
        progress.warn(report["note"])
