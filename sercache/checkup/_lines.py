"""A check-up as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from sercache.checkup._records import KINDS, CheckUp, Count, Finding
from sercache.layout import columns, filled, terminal_width
from sercache.text import one_line
from sercache.units import listed

_ROWS = 20
"""Rows of a table of counts."""
_CELLS = 24
"""Speakers, groups or partitions that are told one by one."""
_SHOWN = 5
"""Findings of a kind that are told one by one."""
_IDS = 4
"""Ids that a finding names."""
_CELL = 30
"""Letters of a label or class in a table."""
_BAR = 40
"""Signs of the longest bar."""


def lines_of(found: CheckUp) -> Iterator[str]:
    """The check-up as lines that fit the terminal; long lists are cut, with counts."""
    for line in _sections(found):
        yield one_line(line)


def _sections(found: CheckUp) -> Iterator[str]:
    yield from _heading(found)
    yield from _lists(found)
    for name, rows in found.counts.items():
        if name == "class" and _one_to_one(found.counts["label"]):
            continue
        yield ""
        yield from _table(name, rows) if name in ("label", "class") else _cells(name, rows)
    yield from _histogram(found)
    yield from _findings("problems: to be mended before numbers are trusted", found.problems)
    yield from _findings("notes: for information, nothing to repair", found.notes)
    yield ""
    n = len(found.problems)
    if n:
        kinds = ", ".join(dict.fromkeys(f.kind for f in found.problems))
        yield from _wrapped("verdict", f"{n} problem{'s' * (n > 1)} ({kinds})")
    else:
        yield from _wrapped("verdict", "clean" + ("" if found.deep else ", as far as headers tell"))


def _heading(found: CheckUp) -> Iterator[str]:
    sound = found.sound
    published = "" if sound.hours_published is None else f" of {sound.hours_published:g} h published"
    lengths = ""
    if sound.median is not None:
        lengths = f"; {sound.shortest:.2f} to {sound.longest:.2f} s, median {sound.median:.2f} s"
    formats = [f"{rate} Hz: {n}" for rate, n in sound.rates.items()]
    formats += [f"{k} channel{'s' * (k > 1)}: {n}" for k, n in sound.channels.items()]
    how = (
        "every utterance decoded" if found.deep else "headers only; --deep finds silence and equal sound too"
    )
    yield from _wrapped("corpus", f"{found.corpus} {found.release}: {found.title}")
    yield from _wrapped(
        "copy", f"{found.n_utterances} utterances in {found.n_files} files under {found.root}"
    )
    yield from _wrapped("checked", how)
    yield from _wrapped("audio", f"{sound.hours:.2f} h{published}{lengths}")
    yield from _wrapped("files", ", ".join(formats) or "none can be read")
    yield from _wrapped("known", _known(found))
    yield from _wrapped("licence", found.licence)
    yield from _wrapped("ask at", found.access)


def _known(found: CheckUp) -> str:
    """Which fields all utterances have, some have, none has."""
    whole = [field for field, n in found.known.items() if n == found.n_utterances]
    some = [f"{field} of {n}" for field, n in found.known.items() if 0 < n < found.n_utterances]
    none = [field for field, n in found.known.items() if not n]
    return "; ".join(
        [", ".join(whole + some) or "nothing but labels"] + [f"unknown: {', '.join(none)}"] * bool(none)
    )


def _one_to_one(labels: Sequence[Count]) -> bool:
    """Whether every label is a class of its own, so that counting classes says nothing new."""
    names = [each.name for each in labels]
    return all(names) and len(set(names)) == len(names)


def _lists(found: CheckUp) -> Iterator[str]:
    if not found.comparisons:
        return
    rows: list[tuple[object, ...]] = [("published list", "here", "published", "ids and labels", "")]
    for k, each in enumerate(found.comparisons):
        verdict = {"match": "match", "differs": "differ", "unknown": "no digest known"}[each.digest]
        mark = "<- judged by" if k == found.reference else ""
        rows.append((each.task or "all utterances", each.rows, each.expected_rows, verdict, mark))
    yield ""
    yield from columns(rows, right=(1, 2))


def _table(name: str, counts: Sequence[Count]) -> Iterator[str]:
    """Labels or classes, those that differ from the published count first where not all have room."""
    chosen = _chosen(counts, _ROWS)
    rows: list[tuple[object, ...]] = [(name, "class" * (name == "label"), "here", "published", "")]
    for each in chosen:
        published = "-" if each.published is None else each.published
        label, class_name = (_cut(one_line(text)) for text in (each.value or "(none)", each.name))
        rows.append((label, class_name, each.here, published, _difference(each)))
    yield from columns(rows, right=(2, 3))
    if len(counts) > len(chosen):
        yield f"and {len(counts) - len(chosen)} more"


def _cells(name: str, counts: Sequence[Count]) -> Iterator[str]:
    """Speakers, groups or partitions, many to a line."""
    chosen = _chosen(counts, _CELLS)
    cells = [
        f"{each.value or '(none)'} {each.here}"
        + (f" of {each.published}" if each.published is not None and _difference(each) else "")
        for each in chosen
    ]
    rest = len(counts) - len(chosen)
    more = f" and {rest} more" if rest else ""
    compared = ", as published" if all(c.published == c.here for c in counts) else ""
    yield from _wrapped(
        name, f"{len([c for c in counts if c.value and c.here])}{compared}: {', '.join(cells)}{more}"
    )


def _cut(text: str) -> str:
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def _chosen(counts: Sequence[Count], n: int) -> list[Count]:
    """At most ``n`` counts in their order: those that differ, then the largest."""
    if len(counts) <= n:
        return list(counts)
    kept = sorted(counts, key=lambda c: (not _difference(c), -c.here, c.value))[:n]
    return [each for each in counts if each in kept]


def _difference(count: Count) -> str:
    if count.published is None or count.here == count.published:
        return ""
    if not count.here:
        return "missing"
    return f"{count.here - count.published:+d}" if count.published else "not published"


def _histogram(found: CheckUp) -> Iterator[str]:
    bins = found.sound.histogram
    if not bins:
        return
    most = max(each.n for each in bins)
    rows: list[tuple[object, ...]] = [("seconds", "utterances", "")]
    for each in bins:
        span = f"{each.start:g} and more" if each.end is None else f"{each.start:g} to {each.end:g}"
        # A bin that holds anything shows it.
        rows.append((span, each.n, "#" * -(-_BAR * each.n // most)))
    yield ""
    yield from columns(rows, right=(1,))


def _findings(title: str, findings: Sequence[Finding]) -> Iterator[str]:
    if not findings:
        return
    yield ""
    yield f"{title} ({len(findings)})"
    for kind, group in groupby(findings, key=lambda f: f.kind):
        members = list(group)
        yield f"  {kind} ({len(members)}): {KINDS[kind][1]}"
        for each in members[:_SHOWN]:
            yield from _lines(_told(each), "    ", "      ")
        if len(members) > _SHOWN:
            yield f"    and {len(members) - _SHOWN} more (--json lists all)"


def _told(finding: Finding) -> str:
    """Ids, path where it says more than the id, and detail."""
    ids = listed(finding.ids, _IDS)
    return ": ".join(part for part in (ids, finding.path, finding.detail) if part)


def _wrapped(label: str, text: str) -> list[str]:
    return _lines(text, f"{label:<9} ", " " * 10)


def _lines(text: str, first: str, rest: str) -> list[str]:
    """``text`` in lines that fit the terminal, the first and the other ones indented."""
    return filled(one_line(text), terminal_width(), first, rest)
