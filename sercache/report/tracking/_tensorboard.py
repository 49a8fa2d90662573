"""TensorBoard, by tensorboardX: ``tensorboard/`` in the run folder, a folder a training and one for the whole run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sercache.record import Report
from sercache.report.tracking._told import figures_in, results_of, scores_of, settings_of, training_name

NEEDS = ("tensorboardX", "SummaryWriter")
INSTALL = "pip install 'sercache[track]'"
_EVENTS, _WHOLE = "tensorboard", "run"


class Events:
    """Event files in a folder, one folder a training."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._writers: dict[str, Any] = {}

    def epoch(self, fold: str, seed: int, epoch: Mapping[str, Any]) -> None:
        """Write an epoch as scalars."""
        writer = self.writer(training_name(fold, seed))
        for name, value in scores_of(epoch).items():
            writer.add_scalar(name, value, epoch["number"])

    def writer(self, name: str) -> Any:
        """What writes into one of the folders."""
        from tensorboardX import SummaryWriter

        if name not in self._writers:
            self._writers[name] = SummaryWriter(str(self.place / name), flush_secs=10)
        return self._writers[name]

    def close(self) -> None:
        """All is on the disk afterwards."""
        for writer in self._writers.values():
            writer.close()


def begin_anew(partial: Path) -> None:
    """Remove the events of an earlier attempt: a folder shows all that was ever written to it."""
    forget(partial)


def following(partial: Path, experiment: str) -> Events:
    """Events of the unfinished run, each as soon as its epoch is done."""
    return Events(partial / _EVENTS)


def finished(report: Report, folder: Path, partial: Path) -> str:
    """Every epoch, hyper-parameters with the results, and the figures; gives where they lie."""
    events = Events(folder / _EVENTS)
    try:
        for run in report.runs:
            for epoch in run.history:
                events.epoch(run.fold, run.seed, epoch)
        whole = events.writer(_WHOLE)
        for name, path in figures_in(folder).items():
            whole.file_writer.add_summary(_figure(name, path.read_bytes()))
        # Tags as those of scalars would make one plot of both.
        results = {f"hparam/{name}": value for name, value in results_of(report).items()}
        whole.add_hparams(settings_of(report), results, name="hparams", global_step=0)
    finally:
        events.close()
    return str(folder / _EVENTS)


def forget(partial: Path) -> None:
    """Remove the events of an unfinished run."""
    shutil.rmtree(partial / _EVENTS, ignore_errors=True)


def _figure(name: str, png: bytes) -> Any:
    """A PNG as it is: to decode and encode it again would take another package."""
    from tensorboardX.proto.summary_pb2 import Summary

    width, height = (int.from_bytes(png[place : place + 4], "big") for place in (16, 20))
    image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
    return Summary(value=[Summary.Value(tag=f"figures/{name}", image=image)])
