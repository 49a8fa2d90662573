"""How often the encoders of some trainings would have run, had they been in the loop."""

from __future__ import annotations

from collections.abc import Sequence

from sercache.record import Report, counted


def passes(report: Report) -> float:
    """Runs over the corpus of an encoder that sees each batch: train and dev part in every epoch, the test part once.

    A head that is solved takes each part once. Of blocks that were trained with the head it says nothing.
    """
    parts = {fold.name: fold for fold in report.folds}
    n_seen = 0
    for run in report.runs:
        part = parts[run.fold]
        n_seen += max(len(run.history), 1) * (part.n_train + part.n_dev) + part.n_test
    return n_seen / report.corpus["n_utterances"]


def passes_saved(reports: Sequence[Report]) -> str:
    """What the cache spared these trainings of one encoder and corpus; empty where the encoder was trained too."""
    first = reports[0]
    if any(report.setup.get("finetune_from") for report in reports):
        return ""
    n_epochs = sum(max(len(run.history), 1) for report in reports for run in report.runs)
    n_trainings = sum(len(report.runs) for report in reports)
    names = [first.setup["encoder"], *(each.partition(":")[0] for each in first.setup.get("beside") or ())]
    told = counted(n_trainings, "training") + (
        "" if n_epochs == n_trainings else f", {counted(n_epochs, 'epoch')}"
    )
    n = sum(map(passes, reports))
    return f"{told}: in their loop {' and '.join(names)} would have run {n:,.0f} times over {first.corpus['name']}"
