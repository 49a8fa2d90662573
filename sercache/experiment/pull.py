"""`sercache pull`: a store or a run from a repository of the Hugging Face hub, checked before it counts."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from sercache import advice, catalog, files, objects, settings, stores
from sercache.errors import DamagedStoreError, DiskSpaceError, HubError, SettingsError
from sercache.experiment import corpus_table, hub
from sercache.experiment.hub import Kind, RemoteFile
from sercache.experiment.places import checked_name
from sercache.progress import bar, say, used, warn
from sercache.report import runs
from sercache.stores import parcel
from sercache.system import sync_path
from sercache.units import size

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_ARRIVING = ".arriving"
"""Folder of a cache, or of the runs, where what is fetched lies until it is whole; three deep, where nobody looks."""
_NOTE = "hub.json"
_MOST_FILES = 200
"""Fetched between two steps of the bar."""


@dataclass(frozen=True)
class PullOptions:
    """The options of one call."""

    repo: str
    revision: str | None = None
    """A commit, branch or tag; None: the newest."""
    cache: Path | None = None
    runs: Path | None = None
    name: str | None = None
    """Of the run folder; None: the name of the repository."""


@dataclass(frozen=True)
class Pulled:
    """What arrived."""

    folder: Path
    """Of the store or the run."""
    kind: Kind
    commit: str
    n_bytes: int


def run(request: PullOptions) -> Pulled:
    """Fetch a store into the cache, or a run into the folder of runs; it appears whole and checked, or not at all.

    What was fetched before a call was cut off is not fetched again. Raises HubError, DiskSpaceError, SettingsError
    where it would take the place of something else, DamagedStoreError for what was sent damaged.
    """
    repo, known = hub.checked_name(request.repo), settings.load()
    name = checked_name(request.name)
    objects.refuse(Path(known.value("cache", request.cache).value), "pull", "give --cache FOLDER")
    asked = hub.api()
    with hub.faults_named(repo):
        kind, commit = _found(asked, repo, request.revision)
        there = hub.files_of(asked, repo, kind, commit)
    wanted = _wanted(repo, kind, there)
    n_bytes = sum(each.n_bytes for each in wanted.values())
    setting = known.value("cache", request.cache) if kind == "dataset" else known.value("runs", request.runs)
    place = Path(setting.value).expanduser()
    used("from", f"{repo} at {commit[:12]} ({kind}), {hub.told(len(wanted), n_bytes)}")
    if kind == "model":
        _check_free(place / (name or repo.rpartition("/")[2]))
    with _arriving(place, repo, commit) as temporary:
        _check_room(temporary, wanted)
        _fetch(asked, repo, (kind, commit), wanted, temporary)
        if kind == "dataset":
            folder = _settle_store(place, temporary, repo, commit)
        else:
            folder = _settle_run(place / (name or repo.rpartition("/")[2]), temporary)
    used("written", str(folder))
    return Pulled(folder, kind, commit, n_bytes)


def _found(asked: HfApi, repo: str, revision: str | None) -> tuple[Kind, str]:
    """Whether a repository holds a store or a run, and the commit that is meant. Raises as the hub does."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return "dataset", str(asked.repo_info(repo, repo_type="dataset", revision=revision).sha)
    except RepositoryNotFoundError:
        return "model", str(asked.repo_info(repo, repo_type="model", revision=revision).sha)


def _wanted(repo: str, kind: Kind, there: Mapping[str, RemoteFile]) -> dict[str, RemoteFile]:
    """The files to fetch. Raises HubError where there is no store or run, or one with files that none has."""
    mark, what = ("ledger/spec.json", "store") if kind == "dataset" else (runs.REPORT, "run")
    if mark not in there:
        raise HubError(f"{repo} holds no {what} of sercache: it has no {mark}")
    wanted = {name: each for name, each in there.items() if not hub.is_hidden(name)}
    strange = [
        name for name in wanted if not (parcel.is_named(name) if kind == "dataset" else hub.stays_below(name))
    ]
    if strange:
        raise HubError(f"{repo} is not what sercache sends: it holds {strange[0]!r}; nothing was fetched")
    return wanted


@contextmanager
def _arriving(place: Path, repo: str, commit: str) -> Iterator[Path]:
    """The folder where a repository's files gather, this process's alone; it stays where the block fails."""
    folder = place / _ARRIVING / catalog.file_name(repo) / commit[:16]
    with files.write_faults_named(folder, "choose another place"):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_suffix(".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise SettingsError(
            f"{repo} is being fetched into {place} by another process; wait for its end"
        ) from None
    try:
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        lock.release()
    folder.with_suffix(".lock").unlink(missing_ok=True)
    for parent in (folder.parent, place / _ARRIVING):
        if not any(parent.iterdir()):
            parent.rmdir()


def _check_room(folder: Path, wanted: Mapping[str, RemoteFile]) -> None:
    missing = sum(each.n_bytes for name, each in wanted.items() if not (folder / name).is_file())
    free = shutil.disk_usage(folder).free
    if missing > free:
        raise DiskSpaceError(
            f"{folder} needs {size(missing)} and its disk has {size(free)} free; free some space"
        )


def _fetch(
    asked: HfApi, repo: str, what: tuple[Kind, str], wanted: Mapping[str, RemoteFile], folder: Path
) -> None:
    """Bring the files, each as the hub says that it is. Raises HubError, DiskSpaceError."""
    kind, commit = what
    names, n_bytes = sorted(wanted), sum(each.n_bytes for each in wanted.values())
    with (
        bar(desc=f"fetching {repo}", total=n_bytes, unit="B", unit_scale=True) as done,
        hub.faults_named(repo),
        files.write_faults_named(folder, "then run the same command again"),
    ):
        for k in range(0, len(names), _MOST_FILES):
            some = names[k : k + _MOST_FILES]
            asked.snapshot_download(
                repo,
                repo_type=kind,
                revision=commit,
                local_dir=folder,
                allow_patterns=[_exact(name) for name in some],
            )
            for name in some:
                _check(folder / name, wanted[name], repo)
            done.update(sum(wanted[name].n_bytes for name in some))
    shutil.rmtree(folder / ".cache", ignore_errors=True)


def _exact(name: str) -> str:
    """A pattern that fits this name alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _check(path: Path, expected: RemoteFile, repo: str) -> None:
    """Raises HubError, and forgets the file, where its bytes are not those that the hub names."""
    if (
        path.is_file()
        and path.stat().st_size == expected.n_bytes
        and _digest(path, expected)
        in (
            expected.sha256 or expected.git_sha1,
            "",
        )
    ):
        return
    path.unlink(missing_ok=True)
    raise HubError(f"{repo} gave other bytes of {expected.path} than it names; run the same command again")


def _digest(path: Path, expected: RemoteFile) -> str:
    with path.open("rb") as file:
        if expected.sha256:
            return hashlib.file_digest(file, "sha256").hexdigest()
        data = file.read()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() if expected.git_sha1 else ""


def _settle_store(cache: Path, arrived: Path, repo: str, commit: str) -> Path:
    """Check a store that was fetched, and put it in its place in the cache. Raises DamagedStoreError, SettingsError."""
    try:
        with bar(desc="checking", unit="B", unit_scale=True) as read:
            damage = [*stores.verify(arrived, read.update), *_table_damage(arrived)]
    except DamagedStoreError as fault:
        raise DamagedStoreError(f"{repo} holds a damaged store: {_told(fault, arrived)}") from fault
    if damage:
        raise DamagedStoreError(
            f"{repo} holds a damaged store ({len(damage)} faults, first: {_told(damage[0].reason, arrived)}); ask who "
            "sent it to send it again"
        )
    spec, format = stores.read_spec(arrived), stores.read_format(arrived)
    folder = stores.store_path(cache, spec, format)
    n_entries = len(stores.open(arrived).ids())
    if stores.exists(folder):
        if stores.read_note(folder, _NOTE).get("commit") == commit:
            say(f"nothing to do: {folder} is that store already")
            return folder
        raise SettingsError(
            f"{folder} is there already; fetch into another --cache, and put them together: "
            f"{advice.command('merge', folder, 'STORE')}"
        )
    stores.write_note(arrived, _NOTE, {"repo": repo, "commit": commit})
    with files.write_faults_named(folder, "choose another --cache"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        arrived.rename(folder)
        sync_path(folder.parent)
    say(f"whole: {n_entries} entries of {spec.corpus} by {spec.shown}, every checksum compared")
    if not stores.has_corpus(folder):
        warn(f"{folder} has no table of its corpus: training from it needs the recordings")
    return folder


def _table_damage(folder: Path) -> list[stores.Damage]:
    return corpus_table.damage(folder) if stores.has_corpus(folder) else []


def _told(reason: object, folder: Path) -> str:
    return str(reason).replace(f"{folder}/", "").partition("; run ")[0]


def _check_free(folder: Path) -> None:
    if folder.exists():
        raise SettingsError(f"{folder} exists already; choose another name for the run with --name")


def _settle_run(folder: Path, arrived: Path) -> Path:
    """Check a run that was fetched, and put it among the runs. Raises SettingsError for one that is damaged."""
    report = runs.load(arrived)
    for each in report.runs:
        path = runs.weights_path(arrived, each.fold, each.seed)
        if path.is_file():
            runs.read_tensors(path)
    _check_free(folder)
    with files.write_faults_named(folder, "choose another folder with --runs"):
        arrived.rename(folder)
        sync_path(folder.parent)
    return folder
