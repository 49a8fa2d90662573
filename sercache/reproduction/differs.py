"""What stands behind a cell and was done in another way than in the paper, in trials that come before it too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from sercache.evaluation import Difference
from sercache.papers import Cell, Latency, Members, scores
from sercache.published import TrialPlan
from sercache.published.compare import fixed, other_corpus, other_system
from sercache.reproduction import measured
from sercache.reproduction.kept import find
from sercache.reproduction.paper import ReproduceOptions, TableProgress
from sercache.reproduction.place import Place, corpus_of


def differs(
    cell: Cell, request: ReproduceOptions, place: Place, found: TableProgress, counts: Mapping[str, int]
) -> tuple[Difference, ...]:
    """What stands behind a cell and was done in another way than in the paper."""
    if isinstance(cell.ours, Latency):
        here = measured.machine(place)
        return (Difference("machine", f"measured on {here} instead of {cell.ours.machine}"),)
    told: dict[Difference, None] = {Difference("not as there", cell.unlike): None} if cell.unlike else {}
    if isinstance(cell.ours, Members):
        corpus, _ = corpus_of(cell.ours.dataset, place)
        return tuple(Difference("corpus", f"{corpus.name}: {line}") for line in corpus.warnings)
    for each in scores(cell.ours):
        _, report = found.reports[request.plan(each.trial).digest]
        meant = request.meant(each.trial)
        told |= dict.fromkeys(fixed(other_system(meant, report, counts, place.recognised)))
        told |= dict.fromkeys(other_corpus(meant, report, each.on, counts, place.recognised))
        told |= dict.fromkeys(_before(request.plan(each.trial), meant, place, counts))
    return tuple(told)


def _before(
    done: TrialPlan, meant: TrialPlan, place: Place, counts: Mapping[str, int]
) -> Iterator[Difference]:
    """What the trials that come before one did in another way than in the paper."""
    for ours, theirs in ((done.start, meant.start), (done.speaker, meant.speaker)):
        if ours is None or theirs is None:
            continue
        kept = find(ours, place)
        if kept is None:
            yield Difference(
                theirs.trial.head, f"the run of {theirs.trial.head} that comes before is not there"
            )
            continue
        for each in fixed(other_system(theirs, kept.report, counts)):
            yield replace(each, text=f"{theirs.trial.head} that comes before: {each.text}")
