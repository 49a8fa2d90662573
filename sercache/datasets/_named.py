"""Reading corpora whose file names say everything: label, speaker, text."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from sercache import text
from sercache.datasets._check import assemble
from sercache.datasets._corpus import Corpus
from sercache.datasets._files import AUDIO, check_folder, not_found, shown, walk
from sercache.datasets._records import CorpusInfo, PublishedList, Skipped, Utterance
from sercache.datasets._text import read_table
from sercache.errors import CorpusError
from sercache.units import listed

Build = Callable[[Path], Utterance | str | None]
"""Utterance of a file; a reason to leave it out; None where the name is not one of the corpus."""
_OTHER_NAME = "the name is not one of this corpus"


def read_named(
    name: str,
    root: Path,
    info: CorpusInfo,
    example: str,
    build: Build,
    *,
    release: str,
    suffixes: frozenset[str] = AUDIO,
    choose: Callable[[Sequence[Utterance]], PublishedList | None] | None = None,
) -> Corpus:
    """The corpus of all files below ``root`` that ``build`` takes, each id once.

    ``example`` is a file name for the error message; ``choose`` picks the published list to compare with.
    Raises CorpusError where ``root`` holds no such file, or all are left out.
    """
    check_folder(root, name)
    utterances, skipped = collect(root, build, suffixes)
    if not utterances:
        # Of files that are the corpus' own, why they are left out says more than what they are called.
        skipped = [each for each in skipped if each.reason != _OTHER_NAME]
        if not skipped:
            raise CorpusError(f"{name}: {not_found(root, f'files like {example}')}")
    published = choose(utterances) if choose else None
    return assemble(name, root, info, utterances, skipped, release=release, published=published)


def _built(path: Path, build: Build) -> Utterance | str | None:
    """What ``build`` makes of a file whose letters macOS may have taken apart: ids and words are composed."""
    composed = Path(text.composed(str(path)))
    made = build(composed)
    if isinstance(made, Utterance) and composed != path:
        return dataclasses.replace(made, path=path)
    return made


def collect(
    root: Path, build: Build, suffixes: frozenset[str] = AUDIO
) -> tuple[list[Utterance], list[Skipped]]:
    """Utterances of the files below ``root``, and what was left out.

    Of files with equal ids the one nearest the root is kept: re-packed copies nest everything twice.
    """
    kept: dict[str, Utterance] = {}
    skipped: list[Skipped] = []
    copies: dict[Path, int] = {}
    for path in sorted(walk(root, suffixes), key=lambda p: (len(p.parts), p)):
        made = _built(path, build)
        if not isinstance(made, Utterance):
            skipped.append(Skipped(shown(path, root), made or _OTHER_NAME))
        elif made.id in kept:
            copies[path.parent] = copies.get(path.parent, 0) + 1
        else:
            kept[made.id] = made
    skipped += [
        Skipped(shown(folder, root), f"{n} files repeat names of files that are kept")
        for folder, n in copies.items()
    ]
    return list(kept.values()), skipped


def nearest(root: Path, file: str) -> Path | None:
    """The file of this name, in any case, that is nearest ``root``; None where there is none."""
    found = [path for path in walk(root, frozenset({Path(file).suffix})) if path.name.lower() == file]
    return min(found, key=lambda path: (len(path.parts), path), default=None)


def rows_of(name: str, root: Path, file: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows, by column, of the CSV called ``file`` that is nearest ``root``; none where there is no such table.

    Raises CorpusError where it is no CSV or lacks one of ``columns``.
    """
    table = nearest(root, file)
    if table is None:
        return []
    header, rows = read_table(table, columns=columns)
    lacking = [column for column in columns if column not in header]
    if lacking:
        has = " ".join(listed(header, 12).split())[:200]
        raise CorpusError(f"{name}: {table} has no column {' and no column '.join(lacking)} (it has {has})")
    return [cells for _, cells in rows]
