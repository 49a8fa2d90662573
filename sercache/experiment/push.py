"""`sercache push`: a store or a run to a repository of the Hugging Face hub, with a card, under a licence."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sercache import advice, catalog, objects, settings, stores
from sercache.datasets import Corpus
from sercache.errors import DamagedStoreError, HubError, SettingsError, UnknownNameError
from sercache.experiment import card, corpus_table, hub
from sercache.experiment.hub import Kind
from sercache.experiment.origin import known_origin
from sercache.experiment.upkeep import copy_first
from sercache.progress import bar, say, used, warn
from sercache.record import Report
from sercache.report import runs
from sercache.stores import parcel
from sercache.units import listed

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{1,60}")
_MOST_FILES = 500
"""Of one commit. Larger stores take several, the files that say what counts in the last one."""
_MOST_BYTES = 2**30
"""Sent between two steps of the bar."""


@dataclass(frozen=True)
class PushOptions:
    """The options of one call."""

    what: Path
    """A store or a run folder."""
    repo: str
    """``OWNER/NAME``."""
    licence: str | None = None
    """As the hub calls it: cc-by-4.0, cc-by-nc-4.0, other, …"""
    public: bool = False
    """Else a repository that is made is private; one that exists stays as it is."""
    i_have_the_right: bool = False
    """That the owners of a restricted corpus let its features, or what was trained on it, be passed on."""


@dataclass(frozen=True)
class Pushed:
    """What was sent."""

    repo: str
    kind: Kind
    commit: str
    """Of the repository, that holds it."""
    n_files: int
    n_bytes: int


@dataclass(frozen=True)
class _Parcel:
    """What is to be sent."""

    kind: Kind
    folder: Path
    names: tuple[str, ...]
    """In the order in which they are to appear."""
    card: str

    @property
    def n_bytes(self) -> int:
        return sum((self.folder / name).stat().st_size for name in self.names)


def needs_licence(request: PushOptions) -> str:
    """What is known of the licence of what would be sent, for whoever is asked for one; raises what forbids it.

    Raises SettingsError.
    """
    _check_right(request)
    known = _licences(request.what)
    return "; ".join(f"{name}: {licence}" for name, licence, _ in known)


def run(request: PushOptions) -> Pushed:
    """Send a store or a run. Nothing is sent before all is known to be whole and allowed.

    Raises SettingsError without a licence or for a restricted corpus, DamagedStoreError, StoreError for a store that is
    written to, HubError.
    """
    objects.refuse(settings.expanded(request.what), "push", copy_first(settings.expanded(request.what)))
    repo = hub.checked_name(request.repo)
    _check_right(request)
    licence = _checked_licence(request.licence, request.what)
    asked = hub.api()
    hub.check_token(asked)
    sent = _parcel(request.what, repo, licence)
    used("from", str(request.what))
    used("to", f"{repo} ({sent.kind}, {licence}), {hub.told(len(sent.names), sent.n_bytes)}")
    with hub.faults_named(repo):
        asked.create_repo(repo, repo_type=sent.kind, private=not request.public, exist_ok=True)
        there = hub.files_of(asked, repo, sent.kind, "main")
        _check_free(asked, repo, sent, there)
        commit = _send(asked, repo, sent, there)
    say(
        f"sent: {hub.told(len(sent.names), sent.n_bytes)}; others get it with: {advice.command('pull', repo)}"
    )
    return Pushed(repo, sent.kind, commit, len(sent.names), sent.n_bytes)


def _checked_licence(licence: str | None, what: Path) -> str:
    known = "; ".join(f"{name}: {its}" for name, its, _ in _licences(what))
    if licence is None:
        raise SettingsError(
            f"under which licence is {what} to be used? give --license, for example cc-by-4.0, cc-by-nc-4.0 or other"
            f"{f' ({known})' if known else ''}"
        )
    if not _LICENCE.fullmatch(licence):
        raise SettingsError(
            f"--license {licence!r} is no licence as the hub writes them; expected for example cc-by-4.0 or other"
        )
    return licence


def _check_right(request: PushOptions) -> None:
    restricted = [(name, its) for name, its, is_restricted in _licences(request.what) if is_restricted]
    if restricted and not request.i_have_the_right:
        raise SettingsError(
            f"{listed(name for name, _ in restricted)} may not be passed on ({restricted[0][1]}), and {request.what} "
            "is made of it; where its owners let you, say so with --i-have-the-right"
        )
    if restricted:
        warn(
            f"{listed(name for name, _ in restricted)} is under: {restricted[0][1]}; you say that you have the right"
        )


def _licences(what: Path) -> list[tuple[str, str, bool]]:
    """Corpora that something was made of, the licence of each and whether it forbids passing on, where that is known.

    Raises SettingsError for what is neither a store nor a run.
    """
    if stores.exists(what):
        corpus = _corpus(what)
        if corpus is not None:
            return [(corpus.name, corpus.info.licence, corpus.info.restricted)]
        names = [stores.read_spec(what).corpus]
    elif (what / runs.REPORT).is_file():
        report = runs.load(what)
        names = [str(each["name"]) for each in (report.corpus, *report.also_trained)]
        names += [name for each in report.started_from for name in each.corpora]
        names += [name for each in report.encoders_trained for name in each.corpora]
    else:
        raise SettingsError(
            f"{what} is neither a store nor a run folder; {advice.command('info')} lists the stores of the cache"
        )
    found = []
    for name in dict.fromkeys(names):
        try:
            info = catalog.load("sercache.datasets", name).INFO
        except UnknownNameError:  # one of one's own
            continue
        found.append((name, info.licence, info.restricted))
    return found


def _corpus(store: Path) -> Corpus | None:
    return corpus_table.read(store) if stores.has_corpus(store) else None


def _parcel(what: Path, repo: str, licence: str) -> _Parcel:
    """What is sent, once it is known to be whole. Raises DamagedStoreError, StoreError, SettingsError."""
    if not stores.exists(what):
        report = runs.load(what)
        names = tuple(sorted(_plain_files(what)))
        _check_weights(what, report)
        return _Parcel("model", what, names, card.of_run(report, repo, licence))
    with bar(desc=f"checking {what.name}", unit="B", unit_scale=True) as read:
        damage = stores.verify(what, read.update)
    if damage:
        raise DamagedStoreError(
            f"{what} is damaged ({len(damage)} faults) and is not sent; {advice.command('verify', what, repair=True)} "
            "mends it"
        )
    corpus = _corpus(what)
    if corpus is None:
        warn(
            f"{what} has no table of its corpus, so nobody can train from it; extract again beside the recordings"
        )
    names = tuple(parcel.names(what))
    _tell_paths(what, names)
    n_bytes = sum((what / name).stat().st_size for name in names)
    return _Parcel("dataset", what, names, card.of_store(what, repo, licence, corpus, n_bytes))


def _tell_paths(store: Path, names: Iterable[str]) -> None:
    """Say where what is sent names the folder of the recordings on this machine: reasons and remarks may."""
    root = str(known_origin(store).get("root", ""))
    written = {os.fsencode(root), json.dumps(root)[1:-1].encode()}  # JSON may be all ASCII
    told = [
        name
        for name in names
        if name.endswith((".json", ".jsonl")) and any(each in (store / name).read_bytes() for each in written)
    ]
    if root and told:
        warn(
            f"{listed(told)} of {store} names {root}, where the recordings lie on this machine, and is sent as it is"
        )


def _plain_files(run: Path) -> Iterator[str]:
    for path in run.rglob("*"):
        name = path.relative_to(run)
        if path.is_file() and not path.is_symlink() and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix()


def _check_weights(run: Path, report: Report) -> None:
    """Raises SettingsError for weights that cannot be read: they are damaged."""
    for each in report.runs:
        path = runs.weights_path(run, each.fold, each.seed)
        if path.is_file():
            runs.read_tensors(path)


def _check_free(asked: HfApi, repo: str, sent: _Parcel, there: Iterable[str]) -> None:
    """Raises HubError for a repository that holds something else: nothing of another's is overwritten."""
    held = {name for name in there if not hub.is_hidden(name)}
    mark = "ledger/spec.json" if sent.kind == "dataset" else runs.REPORT
    if not held:
        return
    if mark not in held and sent.kind == "dataset" and held <= set(sent.names):
        return  # a push that was cut off
    if mark not in held:
        raise HubError(f"{repo} holds other files, first {min(held)}; choose a repository of its own")
    with tempfile.TemporaryDirectory() as folder:
        got = Path(asked.hf_hub_download(repo, mark, repo_type=sent.kind, local_dir=folder))
        if sent.kind == "dataset":
            same = stores.read_spec(Path(folder)).digest == stores.read_spec(sent.folder).digest
        else:
            same = got.read_bytes() == (sent.folder / mark).read_bytes()
    if not same:
        what = "store" if sent.kind == "dataset" else "run"
        raise HubError(f"{repo} holds another {what}; choose a repository of its own")


def _send(asked: HfApi, repo: str, sent: _Parcel, there: Iterable[str]) -> str:
    """Send the files; gives the commit. Large ones go first, and are not sent again where they were before."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    additions = [CommitOperationAdd(name, str(sent.folder / name)) for name in sent.names]
    gone = sorted(set(there) - set(sent.names) - {"README.md", ".gitattributes"})
    last: list[CommitOperationAdd | CommitOperationDelete] = [CommitOperationDelete(name) for name in gone]
    last.append(CommitOperationAdd("README.md", sent.card.encode()))
    with bar(desc=f"sending {repo}", total=sent.n_bytes, unit="B", unit_scale=True) as done:
        for some in _batches(additions):
            asked.preupload_lfs_files(repo, additions=some, repo_type=sent.kind, free_memory=False)
            done.update(sum(each.upload_info.size for each in some))
    steps = [additions[k : k + _MOST_FILES] for k in range(0, len(additions), _MOST_FILES)]
    commit = ""
    for number, step in enumerate(steps, start=1):
        more = last if number == len(steps) else []
        part = f", part {number} of {len(steps)}" if len(steps) > 1 else ""
        made = asked.create_commit(
            repo,
            [*step, *more],
            commit_message=f"Add {sent.folder.resolve().name} by sercache{part}",
            repo_type=sent.kind,
        )
        commit = str(made.oid)
    return commit


def _batches(additions: Sequence[CommitOperationAdd]) -> Iterator[list[CommitOperationAdd]]:
    some: list[CommitOperationAdd] = []
    for each in additions:
        some.append(each)
        if sum(one.upload_info.size for one in some) >= _MOST_BYTES or len(some) == _MOST_FILES:
            yield some
            some = []
    if some:
        yield some
