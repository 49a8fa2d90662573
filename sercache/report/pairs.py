"""Which systems differ: a table of pairs, and for tables of several rows a column on which differ from the best."""

from __future__ import annotations

from collections.abc import Sequence

from sercache import advice
from sercache.metrics import FEWEST_UNITS
from sercache.record import NAMES, Classes, counted
from sercache.report.render import Cell, ReportTable, SignedDifference
from sercache.statistics import LEVEL, PairDifference, System, pairs, score_of, unlike

MOST_ROWS = 40
"""Up to so many rows of a table are tested: of more, all pairs would take longer than the table is worth."""
BEST = "differs from best"


def pairs_table(
    systems: Sequence[System], found: Sequence[PairDifference], notes: Sequence[str]
) -> ReportTable:
    """One row for each pair and metric: both scores, their difference with its interval, p, and whether they differ."""
    corpus, task, protocol = systems[0].material
    several = len(systems) > 2
    columns = ["first", "second", "metric", "first scores", "second scores", "difference", "95 %", "p"]
    columns += [*(["p (Holm)"] if several else []), "different"]
    rows: list[tuple[Cell, ...]] = []
    for each in found:
        row: list[Cell] = [each.first, each.second, metric_of(each.metric), *each.scores]
        row += [SignedDifference(each.difference), each.interval, each.test.p if each.test else None]
        row += [each.corrected] if several else []
        rows.append((*row, _verdict(each)))
    title = f"Pairs: {corpus}, task {task}, {protocol}"
    return ReportTable(title, tuple(columns), tuple(rows), (*_about(systems, found), *notes))


def metric_of(name: str) -> str:
    """A metric for people."""
    kind, _, target = name.partition(":")
    return f"{NAMES[kind]} {target}".rstrip()


def _verdict(each: PairDifference) -> str | None:
    return None if each.differs is None else "yes" if each.differs else "no"


def _about(systems: Sequence[System], found: Sequence[PairDifference]) -> list[str]:
    """What differences, intervals and tests are of."""
    n_seeds = [len({p.seed for group in each.groups for p in group}) for each in systems]
    seeds = " or ".join(dict.fromkeys(counted(n, "seed") for n in n_seeds))
    notes = [f"difference: first less second, each the mean over {seeds} of the pooled score"]
    if len({each.fold for group in systems[0].groups for each in group}) < 2:
        notes = [f"difference: first less second, each the mean over {seeds}"]
    if len(systems[0].groups) != n_seeds[0]:
        notes = [f"difference: first less second, each the mean over its models ({seeds})"]
    ends = [each.interval for each in found if each.interval is not None]
    if any(each.low is not None for each in ends):
        notes.append(
            f"95 %: percentile bootstrap of the difference, {ends[0].units} drawn with replacement, the same for both"
        )
    if any(each.low is None for each in ends):
        notes.append(f"no interval from fewer than {FEWEST_UNITS} units")
    if len(set(n_seeds)) > 1:
        told = ", ".join(f"{each.name}: {n}" for each, n in zip(systems, n_seeds, strict=True))
        notes.append(f"numbers of seeds differ ({told}): a mean over fewer of them varies more by itself")
    by_metric = list(dict.fromkeys(each.metric for each in found))
    notes += about_test([each for each in found if each.metric == by_metric[0]])
    if len(by_metric) > 1:
        notes.append(
            "each metric is corrected by itself: say which one decides before you look; here "
            f"{metric_of(by_metric[0])} comes first"
        )
    return notes


def about_test(found: Sequence[PairDifference]) -> list[str]:
    """What decides, and the least p that it can give."""
    test = found[0].test
    if test is None:
        return [
            "different: not tested, for speakers are not known: utterances of one speaker are alike, and a test over "
            "utterances would call too much different"
        ]
    n, speakers = len(found), counted(test.n, "speaker")
    how = f"all {2 ** (test.n - 1)} swaps" if test.exact else f"{round(1 / test.smallest) - 1} swaps drawn"
    several = f", corrected by Holm for {n} pairs" if n > 1 else ""
    least = min(1.0, n * test.smallest)
    lines = [
        f"different: sign-flip permutation over {speakers}, who are swapped whole ({how}){several}; yes where p is "
        f"below {LEVEL:g}; the smallest p that {speakers} can give is {test.smallest:.2g}"
        + (f", and after correction {least:.2g}" if n > 1 else "")
    ]
    if least >= LEVEL:
        lines.append(
            f"no pair can be called different here: {speakers} are too few"
            + (f" for {n} pairs, compare fewer rows" if n > 1 and test.smallest < LEVEL else "")
        )
    return lines


def best_column(systems: Sequence[System | None]) -> tuple[list[Cell], list[str]]:
    """Of each row whether it differs from the best one, and notes on how that was told; no cells where nothing can be.

    None stands for a row that was not tested. All pairs are corrected for, as ``sercache compare`` does: which row is
    the best was seen on the same utterances.
    """
    own = [each for each in systems if each is not None and each.groups]
    if len(own) < 2:
        return [], []
    why = _untested(own)
    if why:
        return [], [f"{BEST}: not tested here, {why}; `{advice.command('compare', help=True)}` shows how"]
    metric = own[0].target.main_metric
    best = max(own, key=lambda each: score_of(each, metric))
    odd = {each.name: faults for each in own if each is not best and (faults := unlike(best, each))}
    if len(odd) >= len(own) - 1:
        return [], [
            f"{BEST}: not tested, for rows differ in what they are tested on ({next(iter(odd.values()))})"
        ]
    found = pairs([each for each in own if each.name not in odd], metric, intervals=False)
    told = {
        (pair.second if pair.first == best.name else pair.first): pair
        for pair in found
        if best.name in (pair.first, pair.second)
    }
    cells: list[Cell] = [
        None if each is None else "best" if each is best else _told(told.get(each.name)) for each in systems
    ]
    about, *more = about_test(found)
    notes = [about.replace("different:", f"{BEST} in {NAMES[metric]}:", 1), *more]
    if odd:
        notes.append(f"not tested against the best: {', '.join(odd)} ({next(iter(odd.values()))})")
    return (cells if found[0].test else []), notes


def best_of_groups(systems: Sequence[System]) -> tuple[dict[str, Cell], list[str]]:
    """As ``best_column``, for tables whose rows need not be alike: by name of a system, and in words.

    Each best one of those that are alike is named, and what differs from it.
    """
    marks: dict[str, Cell] = {}
    groups: list[list[System]] = []
    for each in systems:
        fitting = next((group for group in groups if not unlike(group[0], each)), None)
        groups.append([each]) if fitting is None else fitting.append(each)
    notes: dict[str, None] = {}
    for group in groups:
        cells, about = best_column(group)
        marks |= zip((each.name for each in group), cells, strict=False)
        told = [f"{each.name} {cell}" for each, cell in zip(group, cells, strict=False) if cell != "best"]
        best = [each.name for each, cell in zip(group, cells, strict=False) if cell == "best"]
        if told:
            notes[f"{BEST} ({best[0]}, on {group[0].material[0]}): {'; '.join(told)}"] = None
        notes |= dict.fromkeys(about)
    return marks, list(notes)


def _untested(own: Sequence[System]) -> str:
    """Why the rows of a table are not tested, in words; empty where they are."""
    target = own[0].target
    if not isinstance(target, Classes):
        return f"for {NAMES[target.main_metric]} takes longer"
    return f"for {len(own)} rows are many" if len(own) > MOST_ROWS else ""


def _told(pair: PairDifference | None) -> str | None:
    if pair is None or pair.corrected is None:
        return None
    return f"{_verdict(pair)} (p {pair.corrected:.2g})"
