"""A corpus as found on disk, and what its tasks make of its labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sercache.catalog import unknown
from sercache.datasets._records import CorpusInfo, Skipped, Utterance
from sercache.datasets._tasks import AVD, NUMERIC, Expression, parse, read_label_map, scaled
from sercache.errors import CorpusError, UnknownNameError


@dataclass(frozen=True)
class Corpus:
    """A corpus as found on disk. Construction checks that ids are unique."""

    name: str
    """What a person calls it."""
    release: str
    root: Path
    info: CorpusInfo
    utterances: tuple[Utterance, ...]
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    """What differs from the published tables, one line each, ids named."""
    reader: str = ""
    """Of a corpus of one's own: what reads it (``manifest``); empty where that is called as the corpus is."""
    table: Path | None = None
    """The file that lists it, where that is what ``--root`` takes."""
    file: Path | None = None
    """The user's file that reads it, where that is no part of sercache or of an installed package."""
    reader_sha256: str = ""
    """Of the file that reads it, where that is not sercache's own."""
    from_store: Path | None = None
    """The store whose table it was made from: its labels are known, its recordings are not at hand."""

    def __post_init__(self) -> None:
        seen: set[str] = set()
        double = sorted({u.id for u in self.utterances if u.id in seen or seen.add(u.id)})  # type: ignore[func-returns-value]
        if double:
            raise CorpusError(
                f"{self.name}: {len(double)} utterance ids occur twice, first: {double[0]}; "
                "an id must name one utterance"
            )

    @property
    def dataset(self) -> str:
        """What ``--dataset`` takes for it."""
        reader = str(self.file) if self.file else self.reader
        if not self.reader:
            return reader or self.name
        return f"{reader}:{self.name}"

    def check_recordings(self) -> None:
        """Raises CorpusError where only its labels are at hand."""
        if self.from_store is not None:
            raise CorpusError(
                f"{self.name} is known by the table of {self.from_store}, which has its labels and no recordings; "
                "this takes the recordings: read it where they lie"
            )

    def goes_by(self, name: str, release: str) -> bool:
        """Whether a store or run that says this name and release is of this corpus.

        What was made before corpora of one's own had names says that of the reader; the release tells them apart.
        """
        return release == self.release and name in (self.name, self.reader or self.name)

    def is_called(self, name: str, release: str) -> bool:
        """Whether what was trained on a corpus of this name and release may have seen this one.

        One of the same name counts whatever its release, one that says the reader's where the release is the same
        or not known.
        """
        return name == self.name or (name == self.reader and release in (self.release, ""))

    def labels(self, task: str | None = None) -> dict[str, str]:
        """Class of each utterance that ``task`` labels: id -> class, in corpus order.

        ``task`` is a label map (``4class``), a label map and subsets (``4class@improvised``), a setup, or
        the path of a TOML file with a table ``[labels]``: ``raw label = "class"``.
        Raises UnknownNameError for a task, subset or setup that the corpus does not have, for a task that
        gives numbers, for a file that is not there; CorpusError for a file that is no label map.
        """
        label_map = self.label_map(task)
        return {u.id: label_map[u.raw_label] for u in self._chosen(task) if u.raw_label in label_map}

    def targets(self, task: str) -> dict[str, tuple[float, ...]]:
        """Numbers of each utterance for ``avd`` or ``shares`` (and subsets): id -> values, in corpus order.

        ``avd``: arousal, valence, dominance, each from 0 to 1, where ``Utterance.attributes`` has all three
        (that keeps them as published; a value beyond an end of the scale counts as the end). ``shares``: the
        shares of ``target_names``, as published. Raises UnknownNameError where the corpus has none.
        """
        names = self.target_names(task)
        if self._parsed(task).name == "shares":
            return {
                u.id: tuple(u.soft_label.get(name, 0.0) for name in names)
                for u in self._chosen(task)
                if u.soft_label
            }
        low, high = self.info.attribute_range or (0.0, 1.0)
        return {
            u.id: tuple(scaled(u.attributes[name], low, high) for name in names)
            for u in self._chosen(task)
            if u.attributes and all(name in u.attributes for name in names)
        }

    def target_names(self, task: str) -> tuple[str, ...]:
        """What each value of ``targets(task)`` is: the attributes, or the classes with shares, alphabetical.

        Raises UnknownNameError for a task without numbers, or numbers that the corpus does not publish.
        """
        name = self._parsed(task).name
        if name == "avd" and self.info.attribute_range is not None:
            return AVD
        if name == "shares":
            found = sorted({each for u in self.utterances for each in u.soft_label or ()})
            if found:
                return tuple(found)
        missing = {"avd": "arousal, valence and dominance on a known scale", "shares": "shares of raters"}
        if name in missing:
            raise UnknownNameError(
                f"unknown task {name!r} of {self.name}: this copy has no {missing[name]} "
                f"(there is: {', '.join(self.info.tasks)})"
            )
        raise UnknownNameError(
            f"task {name!r} of {self.name} gives classes, not numbers: {', '.join(NUMERIC)} do"
        )

    def is_numeric(self, task: str | None = None) -> bool:
        """Whether ``task`` gives numbers instead of classes."""
        return self._parsed(task).name in NUMERIC

    def members(self, task: str | None = None) -> list[str]:
        """Ids of the utterances that have a class or numbers for ``task``, in corpus order."""
        if self.is_numeric(task):
            return list(self.targets(task or self.info.default_task))
        return list(self.labels(task))

    def classes(self, task: str | None = None) -> list[str]:
        """Class names of ``task`` that occur in this copy, alphabetical; a head's output k is class k."""
        return sorted(set(self.labels(task).values()))

    def missing_classes(self, task: str | None = None) -> list[str]:
        """Class names of ``task`` that no utterance of this copy has, alphabetical."""
        return sorted(set(self.label_map(task).values()) - set(self.classes(task)))

    def label_map(self, task: str | None = None) -> Mapping[str, str]:
        """Raw label -> class, as ``task`` maps them. Raises as ``labels`` does."""
        return self._mapped(task)[0]

    def task_name(self, task: str | None = None) -> str:
        """``task`` as it is to be recorded: the default by its name, a file with a digest of its content.

        ``labels`` takes it back, and refuses it once the file has another content.
        """
        asked = self._parsed(task)
        digest = self._mapped(task)[1] if asked.is_file else ""
        if not digest:
            return task or self.info.default_task
        return "@".join([f"{asked.name}#{digest}", *asked.subsets])

    def by_id(self) -> dict[str, Utterance]:
        """Utterances by id."""
        return {u.id: u for u in self.utterances}

    def _parsed(self, task: str | None) -> Expression:
        return parse(task or self.info.default_task, self.info.setups)

    def _mapped(self, task: str | None) -> tuple[Mapping[str, str], str]:
        """The label map that a task expression asks for, and the digest of its file, if it is one."""
        asked, tasks = self._parsed(task), self.info.tasks
        if asked.is_file:
            known = {u.raw_label for u in self.utterances}.union(*tasks.values(), self.info.expected_counts)
            return read_label_map(asked, self.name, known - {""})
        if asked.name in tasks:
            return tasks[asked.name], ""
        if asked.name in NUMERIC:
            self.target_names(asked.name)  # a corpus without these numbers says so
            raise UnknownNameError(
                f"task {asked.name!r} of {self.name} gives numbers, not classes; choose one of {', '.join(tasks)}"
            )
        on_offer = [*tasks, *(s for s in self.info.setups if s not in tasks)]
        raise UnknownNameError(unknown(f"task of {self.name}", asked.name, on_offer))

    def _chosen(self, task: str | None) -> list[Utterance]:
        """Utterances of the subsets that a task expression asks for."""
        subsets = self.info.subsets
        wanted = self._parsed(task).subsets
        for subset in wanted:
            if subset not in subsets:
                raise UnknownNameError(unknown(f"subset of {self.name}", subset, sorted(subsets)))
        return [u for u in self.utterances if all(subsets[s].holds(u) for s in wanted)]
