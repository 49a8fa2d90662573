"""Task expressions: ``<task>[@<subset>...]``, where the task may be a label map in a TOML file."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from sercache import settings, text
from sercache.catalog import unknown
from sercache.datasets import _spelling
from sercache.errors import CorpusError, TextError, UnknownNameError

AVD = ("arousal", "valence", "dominance")
"""Attributes of the task ``avd``, in this order."""
NUMERIC = ("avd", "shares")
"""Tasks that give numbers instead of classes."""
_FILE = re.compile(r"(?P<path>.+\.toml)(?:#(?P<digest>[0-9a-f]{12}))?(?P<subsets>(?:@[^@/\\]+)*)")


@dataclass(frozen=True, slots=True)
class Expression:
    """A task expression taken apart."""

    name: str
    """Of the task, or the path of a label map."""
    subsets: tuple[str, ...] = ()
    is_file: bool = False
    digest: str = ""
    """Of the label map that is meant, where the expression says so."""


def parse(text: str, setups: Mapping[str, str]) -> Expression:
    """``text`` taken apart; a setup is replaced by what it stands for, also before further subsets."""
    if match := _FILE.fullmatch(text):
        subsets = tuple(match["subsets"].split("@")[1:])
        return Expression(match["path"], subsets, True, match["digest"] or "")
    first, *rest = text.split("@")
    name, *subsets_of_setup = setups.get(first, first).split("@")
    return Expression(name, (*subsets_of_setup, *rest))


def scaled(value: float, low: float, high: float) -> float:
    """``value`` on a scale from ``low`` to ``high`` as a number from 0 to 1; beyond an end: the end."""
    return min(max((value - low) / (high - low), 0.0), 1.0)


def read_label_map(task: Expression, corpus: str, raw_labels: Collection[str]) -> tuple[dict[str, str], str]:
    """Label map (raw label -> class) and content digest of a file with a table ``[labels]``.

    Raises UnknownNameError where there is no such file or it names a raw label that the corpus does not
    use, CorpusError where it is no label map or not the one that the expression means.
    """
    path = settings.expanded(task.name)
    try:
        content = tomllib.loads(text.decode(path.read_bytes(), path).removeprefix("\ufeff"))
    except FileNotFoundError:
        raise UnknownNameError(f"there is no label map {path}; --task takes a name or a .toml file") from None
    except TextError as fault:
        raise CorpusError(f"the label map {fault}") from None
    except (OSError, tomllib.TOMLDecodeError, RecursionError) as fault:
        raise CorpusError(f"cannot read the label map {path}: {fault}") from None
    label_map = _as_the_corpus(_checked(content, path), path, raw_labels)
    strange = sorted(set(label_map) - set(raw_labels))
    if strange:
        raise UnknownNameError(f"{path}: {unknown(f'raw label of {corpus}', strange[0], sorted(raw_labels))}")
    digest = hashlib.sha256("".join(f"{k}\t{v}\n" for k, v in sorted(label_map.items())).encode())
    if task.digest and digest.hexdigest()[:12] != task.digest:
        raise CorpusError(
            f"the label map {path} has changed: its digest is {digest.hexdigest()[:12]}, expected {task.digest}"
        )
    return label_map, digest.hexdigest()[:12]


def _as_the_corpus(label_map: Mapping[str, str], path: Path, raw_labels: Collection[str]) -> dict[str, str]:
    """The map under the corpus' own spellings of its raw labels, where only case, space or form differ.

    Raises CorpusError where two entries are one raw label, or two classes one word, in different spellings.
    """
    if text.reading().labels_as_written:
        return dict(label_map)
    known: dict[str, str | None] = {}
    for raw in raw_labels:
        spelt = _spelling.key(raw)
        known[spelt] = (
            None if spelt in known else raw
        )  # None: two raw labels of the corpus differ by that alone
    found: dict[str, str] = {}
    for raw, name in label_map.items():
        its = raw if raw in raw_labels else known.get(_spelling.key(raw)) or raw
        if found.setdefault(its, name) != name:
            raise CorpusError(
                f"{path} maps the raw label {its!r} twice, to {found[its]!r} and {name!r}; keep one line"
            )
    classes: dict[str, str] = {}
    for name in found.values():
        other = classes.setdefault(_spelling.key(name), name)
        if other != name:
            raise CorpusError(
                f"{path}: the classes {other!r} and {name!r} differ only in spelling; write them alike"
            )
    return found


def _checked(content: Mapping[str, object], path: Path) -> dict[str, str]:
    """The table ``[labels]`` of a label map, its keys and values non-empty text."""
    example = 'expected a table [labels] with lines like: ang = "anger"'
    strange = sorted(set(content) - {"labels"})
    if strange:
        raise CorpusError(f"{path} has the entry {strange[0]!r}; {example}")
    labels = content.get("labels")
    if not isinstance(labels, dict) or not labels:
        raise CorpusError(f"{path} maps no label; {example}")
    for raw, name in labels.items():
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise CorpusError(f"{path}: the class of {raw!r} must be a word, got {name!r}; {example}")
    return dict(labels)
