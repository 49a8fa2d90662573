"""Which printed number a run stands beside, and whether it is of the same system: compared field by field."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from sercache import catalog, encoders, states
from sercache.errors import UnknownNameError
from sercache.evaluation.describe import setup_of
from sercache.evaluation.published import Difference, differences
from sercache.papers import Printed, Score
from sercache.published.head import published_of
from sercache.published.trial import Plan, plan
from sercache.recipe import Setup
from sercache.report.record import Report

_ROW = ("states", "frames", "normalise", "protocol", "target", "beside", "finetune_from", "loss", "task")
"""Fields in which the rows of one head, encoder and corpus differ: by them a run is told to be one of them."""
_YOURS = "a folder of yours"
"""How the source of a short name ends that means no checkpoint until somebody gives one."""


@dataclass(frozen=True)
class Beside:
    """A number as a paper prints it, as a share of 1, and what we did in another way than its system."""

    mean: float
    std: float | None
    differs: tuple[Difference, ...]
    """Of what the paper fixes; with any of these there is no verdict."""
    where: str
    """Paper, table, row, column."""
    score: Score


def printed_beside(report: Report) -> list[Beside]:
    """The numbers of the row that comes closest to this report: of its head, encoder and corpus; none without one."""
    rows = [row for row in _rows(report) if row]
    return min(rows, key=lambda row: _distance(row[0].differs), default=[])


def _distance(differs: Sequence[Difference]) -> tuple[int, int]:
    return sum(each.field in _ROW or each.field.startswith("corpus") for each in differs), len(differs)


def _rows(report: Report) -> Iterator[list[Beside]]:
    for paper in catalog.names("sercache.papers"):
        module = catalog.load("sercache.papers", paper)
        for name, table in module.TABLES.items():
            for row in table.rows:
                yield [
                    Beside(*_share(cell.printed, table.scale), _other(cell.ours, module, report),
                           f"{paper} {name}: {row.name}, {column}", cell.ours)
                    for column, cell in row.cells.items()
                    if cell.printed and isinstance(cell.ours, Score) and _is_near(cell.ours, report)
                ]  # fmt: skip


def _other(score: Score, module: ModuleType, report: Report) -> tuple[Difference, ...]:
    return fixed(other_system(plan(score.trial), report, counts_of(module)))


def _is_near(score: Score, report: Report) -> bool:
    """Whether a cell is of the report's head, encoder and corpus, on its own test parts."""
    trial = score.trial
    ours = (report.head, encoder_of(report), report.corpus["name"])
    is_alone = trial.start is None and trial.speaker is None and score.on is None and score.of is None
    return is_alone and ours == (trial.head, trial.encoder, trial.dataset)


def fixed(found: Sequence[Difference]) -> tuple[Difference, ...]:
    """Differences in what the paper fixes."""
    return tuple(each for each in found if not each.is_open)


def counts_of(module: ModuleType) -> Mapping[str, int]:
    """Utterances that a paper had, by ``corpus:task``; empty where it says nothing."""
    return getattr(module, "UTTERANCES", {})


def encoder_of(report: Report) -> str:
    """Name of the encoder, also of one with random weights."""
    return str(report.features.get("spec", {}).get("encoder", report.setup["encoder"]))


def other_system(meant: Plan, report: Report, counts: Mapping[str, int]) -> list[Difference]:
    """What a report did in another way than the trial ``meant`` of a paper, which had ``counts`` of utterances."""
    setup = setup_of(report.setup)
    published = published_of(meant.module, meant.setup, meant.recipe, meant.trial.options)
    if published is None:
        return []
    found = differences(published, setup, report.recipe, report.options)
    kept = [each for each in found if not _is_the_same(each.field, meant, setup, report)]
    return [
        *kept,
        *_task(meant, report),
        *_weights(meant, report),
        *_corpus(meant, report, counts),
        *_way(meant, report),
    ]


def _is_the_same(field: str, meant: Plan, setup: Setup, report: Report) -> bool:
    """Whether two values of a field mean the same for this run."""
    if field == "seeds":  # more than the published ones are no other system
        return set(meant.setup.seeds) <= set(setup.seeds)
    if field == "task":  # None is the corpus' default, which ``_task`` looks up
        return True
    if field == "encoder":
        return _is_yours(meant.setup.encoder) and "random weights" not in setup.encoder
    if field == "beside":
        pairs = list(zip(meant.setup.beside, setup.beside, strict=False))
        return meant.speaker is not None or all(
            was.partition(":")[2] == now.partition(":")[2] and _is_yours(was.partition(":")[0])
            for was, now in pairs
        )
    if field == "states":
        on_offer = report.features.get("spec", {}).get("encoder_states") or report.features["states"]
        try:
            return states.select(on_offer, meant.setup.cached_states) == tuple(report.features["states"])
        except UnknownNameError:
            return False
    return False


def _is_yours(name: str) -> bool:
    """Whether a short name stands for a checkpoint that everybody brings."""
    return encoders.short_names().get(name, ("", ""))[1].endswith(_YOURS)


def _task(meant: Plan, report: Report) -> Iterator[Difference]:
    default = catalog.load("sercache.datasets", meant.trial.dataset).INFO.default_task
    published, ours = meant.setup.task or default, report.corpus["task"]
    if ours != published:
        yield Difference("task", f"task {ours} instead of {published}")


def _weights(meant: Plan, report: Report) -> Iterator[Difference]:
    """Other weights under the encoder's name, and other arithmetic."""
    identity = report.features.get("spec", {}).get("identity", {})
    source, ours = (
        encoders.short_names().get(meant.setup.encoder, ("", ""))[1],
        str(identity.get("source", "")),
    )
    if (
        "/" in source
        and " " not in source
        and ours
        and ours != source
        and encoder_of(report) == meant.setup.encoder
    ):
        yield Difference("weights", f"weights of {ours} instead of {source}")
    if identity.get("precision", "float32") != "float32":
        yield Difference("precision", f"encoded in {identity['precision']} instead of float32")


def _corpus(meant: Plan, report: Report, counts: Mapping[str, int]) -> Iterator[Difference]:
    """Other utterances than the paper's: by its count, or by what the reader of the corpus warns of."""
    about = report.corpus
    published = counts.get(f"{about['name']}:{about['task']}")
    if published is not None and about["n_utterances"] != published:
        yield Difference(
            "corpus", f"{about['n_utterances']} utterances of {about['name']} instead of {published}"
        )
    elif published is None:
        for warning in about["warnings"]:
            yield Difference("corpus", f"{about['name']}: {warning}")
    added = [also.dataset for also in meant.trial.also_train]
    ours = [more["name"] for more in report.also_trained]
    if sorted(added) != sorted(ours):
        both = " and ".join(ours) or "nothing", " and ".join(added) or "nothing"
        yield Difference("corpus added", f"{both[0]} added to the training parts instead of {both[1]}")


def other_corpus(report: Report, on: str | None, counts: Mapping[str, int]) -> Iterator[Difference]:
    """Other utterances than the paper's of a corpus ``on`` that was tested on; None: of no other corpus."""
    for there in report.elsewhere:
        published = counts.get(f"{there.dataset}:{there.task}")
        ours = there.corpus["n_utterances"]
        if there.dataset == on and published is not None and ours != published:
            yield Difference("corpus", f"{ours} utterances of {there.dataset} instead of {published}")


def _way(meant: Plan, report: Report) -> Iterator[Difference]:
    """Initial weights, order of batches and folds that were drawn otherwise."""
    begun = {part for part, before in (("emotion", meant.start), ("speaker", meant.speaker)) if before}
    for each in report.started_from:
        if each.part not in begun:
            yield Difference("initial weights", str(each))
    experiment = report.experiment
    if experiment is not None and experiment.order_seed is not None:
        yield Difference("order", "the seeds share the order of their batches")
    if report.setup.get("fold_seed"):
        yield Difference("fold seed", f"folds drawn with seed {report.setup['fold_seed']} instead of 0")


def _share(number: Printed, scale: float) -> tuple[float, float | None]:
    return number.mean / scale, None if number.std is None else number.std / scale


def record_of(beside: Beside) -> dict[str, Any]:
    """What ``report.json`` says of a printed number."""
    return {
        "where": beside.where,
        "metric": beside.score.metric,
        "aggregate": beside.score.aggregate,
        "mean": beside.mean,
        "std": beside.std,
        "differs": [dataclasses.asdict(each) for each in beside.differs],
    }
