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


def passes_saved(reports: Sequence[Report]) -> list[str]:
    """What the cache spared these trainings, a line for each encoder and corpus.

    Trainings that trained the encoder too are passed over.
    """
    alike: dict[tuple[str, str], list[Report]] = {}
    for report in reports:
        setup = report.setup
        names = (setup["encoder"], *(each.partition(":")[0] for each in setup.get("beside") or ()))
        if not setup.get("finetune_from") and report.corpus.get("n_utterances"):
            alike.setdefault((" and ".join(dict.fromkeys(names)), report.corpus["name"]), []).append(report)
    return [_told(encoders, corpus, members) for (encoders, corpus), members in alike.items()]


def _told(encoders: str, corpus: str, reports: Sequence[Report]) -> str:
    n_epochs = [max(len(run.history), 1) for report in reports for run in report.runs]
    trained = counted(len(n_epochs), "training")
    if sum(n_epochs) > len(n_epochs):
        trained += f", {counted(sum(n_epochs), 'epoch')}"
    n = sum(map(passes, reports))
    return f"{trained}: in their loop {encoders} would have run {n:,.0f} times over {corpus}"
