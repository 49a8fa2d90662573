"""Which printed number a run stands beside, and whether it is of the same system: compared field by field."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sercache import catalog, clips, encoders, states
from sercache.errors import UnknownNameError
from sercache.evaluation import Difference, differences, setup_of
from sercache.head import declared
from sercache.papers import PaperTable, Printed, TrialScore
from sercache.published.head import published_of
from sercache.published.trial import TrialPlan, plan
from sercache.recipe import Setup, inputs
from sercache.record import Report

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
    score: TrialScore


def printed_beside(report: Report) -> list[Beside]:
    """The numbers of the row that comes closest to this report: of its head, encoder and corpus; none without one.

    Looked for in the tables that the head's file names, no others.
    """
    rows = [row for row in _rows(report) if row]
    return min(rows, key=lambda row: _distance(row[0].differs), default=[])


def _distance(differs: Sequence[Difference]) -> tuple[int, int]:
    return sum(each.field in _ROW or each.field.startswith("corpus") for each in differs), len(differs)


def _rows(report: Report) -> Iterator[list[Beside]]:
    for named in _tables(report):
        paper, _, name = named.partition(" ")
        module = catalog.load("sercache.papers", paper)
        table: PaperTable = module.TABLES[name]
        for row in table.rows:
            yield [
                Beside(*_share(cell.printed, table.scale), _other(cell.ours, module, report),
                       f"{named}: {row.name}, {column}", cell.ours)
                for column, cell in row.cells.items()
                if cell.printed and isinstance(cell.ours, TrialScore) and _is_near(cell.ours, report)
            ]  # fmt: skip


def _tables(report: Report) -> tuple[str, ...]:
    """The tables that print results of its head: of a head of sercache, others are compared with no paper."""
    if report.head not in catalog.own_names("sercache.heads"):
        return ()
    return declared(catalog.load("sercache.heads", report.head)).printed


def _other(score: TrialScore, module: ModuleType, report: Report) -> tuple[Difference, ...]:
    return fixed(other_system(plan(score.trial), report, counts_of(module)))


def _is_near(score: TrialScore, report: Report) -> bool:
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


def other_system(
    meant: TrialPlan, report: Report, counts: Mapping[str, int], recognised: AbstractSet[str] = frozenset()
) -> list[Difference]:
    """What a report did in another way than the trial ``meant`` of a paper, which had ``counts`` of utterances.

    ``recognised``: digests of transcripts that are known to be of the trial's recogniser.
    """
    setup = setup_of(report.setup)
    published = published_of(meant.module, meant.setup, meant.recipe, meant.trial.options)
    if published is None:
        return []
    found = differences(published, setup, report.recipe, report.options)
    kept = [each for each in found if not _is_the_same(each.field, meant, setup, report)]
    return [
        *kept,
        *_task(meant, report),
        *_inputs(meant, report.features, recognised),
        *_corpus(meant, report, counts),
        *_way(meant, report),
    ]


def _is_the_same(field: str, meant: TrialPlan, setup: Setup, report: Report) -> bool:
    """Whether two values of a field mean the same for this run."""
    if field == "seeds":  # more than the published ones are no other system
        return set(meant.setup.seeds) <= set(setup.seeds)
    if field == "task":  # None is the corpus' default, which ``_task`` looks up
        return True
    if field == "encoder" and Path(meant.setup.encoder).is_absolute():
        return Path(meant.setup.encoder).name == setup.encoder  # a folder of the user's in a row of its own
    if field == "encoder":
        return _is_yours(meant.setup.encoder) and "random weights" not in setup.encoder
    if field == "beside":
        was, now = inputs(meant.setup)[1:], inputs(setup)[1:]
        kinds = [[(each.states, each.frames) for each in some] for some in (was, now)]
        if meant.speaker is not None:  # its encoder is what an earlier trial trained
            return kinds[1] == [("final", True)]
        return kinds[0] == kinds[1] and all(
            a.encoder == b.encoder or _is_yours(a.encoder) for a, b in zip(was, now, strict=True)
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


def _task(meant: TrialPlan, report: Report) -> Iterator[Difference]:
    default = catalog.load("sercache.datasets", meant.trial.dataset).INFO.default_task
    published, ours = meant.setup.task or default, report.corpus["task"]
    if ours != published:
        yield Difference("task", f"task {ours} instead of {published}")


def _inputs(
    meant: TrialPlan, features: Mapping[str, Any], recognised: AbstractSet[str], of: str = ""
) -> Iterator[Difference]:
    """Other weights under an encoder's name, other arithmetic, other texts: of every input that was read.

    ``features`` are those of a report, or of a corpus ``of`` that was tested on.
    """
    wanted = inputs(meant.setup)
    for number, (own, read) in enumerate(
        zip(wanted, (features, *features.get("beside", ())), strict=False), 1
    ):
        spec = read.get("spec", {})
        which = (f" (input {number})" if number > 1 else "") + (f" of {of}" if of else "")
        identity = spec.get("identity", {})
        source = encoders.short_names().get(own.encoder, ("", ""))[1]
        ours = str(identity.get("source", ""))
        is_checkpoint = "/" in source and " " not in source
        if "random weights" in ours or (
            is_checkpoint and spec.get("encoder") == own.encoder and ours not in ("", source)
        ):
            yield Difference("weights", f"weights of {ours} instead of {source or own.encoder}{which}")
        if identity.get("precision", "float32") != "float32":
            yield Difference("precision", f"encoded in {identity['precision']} instead of float32{which}")
        if spec.get("dtype") == "int8" and read.get("kind") == "frames":
            yield Difference("dtype", f"sequences kept as int8{which}")
        if identity.get("modality") == "text":
            file = str(spec.get("transcripts", ""))
            if file not in recognised:
                yield from _texts(meant, file, which)


def _texts(meant: TrialPlan, file: str, which: str) -> Iterator[Difference]:
    """Texts of another origin than those that the paper's encoder of text read."""
    wanted = meant.trial.transcripts
    if file and not wanted:
        yield Difference(
            "transcripts", f"transcripts of a file ({file[:8]}) instead of the corpus' own{which}"
        )
    elif wanted and not file:
        yield Difference(
            "transcripts", f"transcripts of the corpus instead of what {wanted} recognised{which}"
        )
    elif wanted:
        words = f"transcripts of a file ({file[:8]}), of which it is not known that {wanted} recognised them{which}"
        yield Difference("transcripts", words)


def _corpus(meant: TrialPlan, report: Report, counts: Mapping[str, int]) -> Iterator[Difference]:
    """Other utterances than the paper's, those that are added to the training parts included."""
    yield from _utterances(report.corpus, counts)
    added = [(also.dataset, also.task) for also in meant.trial.also_train]
    ours = [(more["name"], more.get("task", "")) for more in report.also_trained]
    if sorted(name for name, _ in added) != sorted(name for name, _ in ours):
        both = [" and ".join(name for name, _ in each) or "nothing" for each in (ours, added)]
        yield Difference("corpus added", f"{both[0]} added to the training parts instead of {both[1]}")
        return
    tasks = dict(added)
    for more, (name, task) in zip(report.also_trained, ours, strict=True):
        if task and task != tasks[name]:
            yield Difference("corpus added", f"task {task} of {name} instead of {tasks[name]}")
        yield from _utterances(more, counts)


def _utterances(about: Mapping[str, Any], counts: Mapping[str, int]) -> Iterator[Difference]:
    """Other utterances of a corpus: by the paper's count, or by what the reader of the corpus warns of."""
    published = counts.get(f"{about['name']}:{about.get('task', '')}")
    if published is None:
        for warning in about.get("warnings", ()):
            yield Difference("corpus", f"{about['name']}: {warning}")
    elif about["n_utterances"] != published:
        yield Difference(
            "corpus", f"{about['n_utterances']} utterances of {about['name']} instead of {published}"
        )


def other_corpus(
    meant: TrialPlan,
    report: Report,
    on: str | None,
    counts: Mapping[str, int],
    recognised: AbstractSet[str] = frozenset(),
) -> Iterator[Difference]:
    """What differs on a corpus ``on`` that the heads of a trial are tested on; None: on no other corpus.

    Its utterances, its task, and the features of every input, which may be of another store than those trained on.
    """
    there = next((each for each in report.cross_corpus if each.dataset == on), None)
    if there is None:
        return
    about = {**there.corpus, "name": there.dataset, "task": there.task}
    selected = meant.trial.selected.get(there.dataset)
    if selected is not None:
        counts = {f"{there.dataset}:{there.task}": selected.n_utterances}
    yield from _utterances(about, counts)
    tasks = [text.partition(":")[2] for text in meant.setup.test_on if text.partition(":")[0] == on]
    if tasks and tasks[0] and there.task != tasks[0]:
        yield Difference("task", f"task {there.task} of {on} instead of {tasks[0]}")
    yield from _inputs(meant, there.features, recognised, there.dataset)
    for number, read in enumerate((there.features, *there.features.get("beside", ())), 1):
        spec = read.get("spec", {})
        clip, wanted = spec.get("clip"), str(clips.parse(meant.setup.clip))
        if clip is not None and spec.get("identity", {}).get("modality") != "text" and clip != wanted:
            which = f" (input {number})" if number > 1 else ""
            yield Difference("clip", f"clip {clip} instead of {wanted} on {on}{which}")


def _way(meant: TrialPlan, report: Report) -> Iterator[Difference]:
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
