"""What is told of a training while it runs: a bar over the epochs of all, and each epoch on the disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sercache.evaluation import Progress
from sercache.progress import bar
from sercache.report import LiveEpochs, tracking

_BAR = "{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} epochs [{elapsed}<{remaining}{postfix}]"


@contextmanager
def epochs_shown(
    folder: Path | None, tell: tracking.Tell | None = None
) -> Iterator[Callable[[Progress], None]]:
    """What moves a bar over all epochs on, and writes each into the folder of the unfinished run.

    ``tell`` is told each too, after it was written.
    """
    if folder is None:
        with _epochs_bar() as advance:
            yield advance
        return
    with _epochs_bar() as advance, LiveEpochs(folder) as log:

        def note(at: Progress) -> None:
            epoch = dataclasses.asdict(at.epoch)
            log.add(at.fold, at.seed, epoch)
            if tell is not None:
                tell(at.fold, at.seed, epoch)
            advance(at)

        yield note


@contextmanager
def _epochs_bar() -> Iterator[Callable[[Progress], None]]:
    """What moves a bar over the epochs of all trainings on."""
    epochs: Any = None

    def advance(at: Progress) -> None:
        # Made with the first epoch: what is said or refused before it has the line to itself.
        nonlocal epochs
        epochs = bar(desc="training", unit="epoch", bar_format=_BAR) if epochs is None else epochs
        # A run that stops early leaves epochs out: the total is corrected as they come in.
        epochs.total = epochs.n + at.left + 1
        epochs.set_postfix_str(f"fold {at.fold}, seed {at.seed}, run {at.run}/{at.n_runs}", refresh=False)
        epochs.update()

    try:
        yield advance
    finally:
        if epochs is not None:
            epochs.close()
