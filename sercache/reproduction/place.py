"""Where a reproduction finds and leaves things: corpora that are at hand, and what is done once for all processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sercache import advice, catalog
from sercache.claims import claims_in, taken
from sercache.datasets import Corpus
from sercache.errors import MissingMaterialError
from sercache.experiment.corpora import is_known, read_corpus
from sercache.papers import PublishedLists
from sercache.published import TrialPlan
from sercache.record import digest_of
from sercache.settings import Settings

if TYPE_CHECKING:
    from sercache.experiment import planned as planned_stores
    from sercache.reproduction.kept import Kept

CLAIMS = ".claims"
"""Folder of what the processes at work on a paper have claimed, beside its runs."""
Need = tuple[str, str, str]
"""Corpus, encoder, clip rule: what shares a store."""


@dataclass
class Place:
    """Where a reproduction finds and leaves things, and what it has found already."""

    known: Settings
    cache: Path
    device: str
    folder: Path
    may_extract: bool
    may_download: bool = True
    wanted: dict[Need, dict[str, None]] = field(default_factory=dict)
    """State selections that the trials to come read of a store: they are extracted in one go."""
    corpora: dict[str, tuple[Corpus, str]] = field(default_factory=dict)
    complete: set[tuple[object, ...]] = field(default_factory=set)
    recognised: set[str] = field(default_factory=set)
    """Digests of what the recognisers of trials heard in their corpora."""
    kept: dict[str, Kept] = field(default_factory=dict)
    """Finished trials by the digest of their plan, compared once."""
    lists: PublishedLists | None = None
    """Where folds are lists that the paper's authors publish."""
    planned: planned_stores.PlannedStores | None = None
    """Where stores are planned in the place of missing ones, as what they take is asked for; nothing is extracted."""

    @property
    def as_it_is(self) -> Place:
        """The same place, where nothing is extracted: what is missing is missing, or planned."""
        return replace(self, may_extract=False, complete=set())


@contextmanager
def done_by_one(name: str, place: Place) -> Iterator[None]:
    """Do something that is done once for a paper: other processes wait, and find it done."""
    with claims_in(place.folder / CLAIMS) as claims, taken(claims, f"once-{digest_of(name)}"):
        yield


def is_at_hand(dataset: str, place: Place) -> bool:
    """Whether somebody said where the corpus lies."""
    return is_known(dataset, place.known, place.cache)


def check_at_hand(dataset: str, place: Place) -> None:
    """Raises MissingMaterialError with how to get the corpus where nobody pointed to it."""
    if not is_at_hand(dataset, place):
        about = catalog.load("sercache.datasets", dataset).INFO
        raise MissingMaterialError(
            f"{about.title}: get it from {about.access} ({about.licence}), then run: "
            f"{advice.command('config', f'roots.{dataset}=FOLDER')}"
        )


def lists_folder(plan: TrialPlan, place: Place) -> Path | None:
    """Where the lists lie that a trial reads; None for one that reads none.

    Raises MissingMaterialError with how to get them.
    """
    if not plan.lists or place.lists is None:
        return None
    found = place.known.root(place.lists.name)
    lacking = None if found is None else _lacking(plan, Path(found.value))
    if found is None or lacking:
        where = f" ({lacking})" if lacking else ""
        command = advice.command("config", f"roots.{place.lists.name}=FOLDER")
        raise MissingMaterialError(
            f"{place.lists.title}{where}: get them by git clone {place.lists.address}, then run: {command}"
        )
    return Path(found.value)


def check_lists(plans: Iterable[TrialPlan], place: Place) -> None:
    """Raises MissingMaterialError where the folder that somebody named for the lists is no copy of them."""
    if place.lists is not None and place.known.root(place.lists.name) is not None:
        for plan in plans:
            lists_folder(plan, place)


def _lacking(plan: TrialPlan, folder: Path) -> str | None:
    """Why a folder is no copy of the lists that a trial reads; None for one that is, if not a whole one."""
    if not folder.is_dir():
        return f"{folder} is no folder"
    top = {PurePosixPath(path).parts[0] for path in plan.lists}
    return next(
        (f"{folder} has no folder {name}" for name in sorted(top) if not (folder / name).is_dir()), None
    )


def corpus_of(dataset: str, place: Place) -> tuple[Corpus, str]:
    """The corpus and its folder, read once. Raises MissingMaterialError, CorpusError."""
    if dataset not in place.corpora:
        check_at_hand(dataset, place)
        corpus, root = read_corpus(dataset, None, place.known, place.cache)
        place.corpora[dataset] = corpus, root.value
    return place.corpora[dataset]
