"""Giving disk back: states and sequences that nobody reads, runs without their store, what dead processes left.

What goes is listed first, with its size and the runs that still read it. A store with less in it is another store: it
is made, checked, and only then the old one removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from sercache import advice, files, objects, settings, states, stores
from sercache.errors import SercacheError, SettingsError
from sercache.experiment.info import folder_bytes
from sercache.experiment.needs import RunNeeds, is_served, runs_in
from sercache.experiment.options import Bound
from sercache.experiment.places import abandoned_runs, is_held
from sercache.experiment.upkeep import bytes_of, cache_of, make
from sercache.progress import say, used, warn
from sercache.stores import FeatureSpec
from sercache.units import listed, size


@dataclass(frozen=True)
class PruneOptions:
    """The options of one call."""

    stores: Sequence[str | Path] = ()
    """Of which states or sequences are dropped; for leftovers none: all of the cache."""
    keep_states: str | None = None
    drop_states: str | None = None
    to: Literal["pooled"] | None = None
    runs_without_store: bool = False
    leftovers: bool = False
    older: Annotated[float, Bound(0)] = 7.0
    """Days since something unfinished was written to."""
    force: bool = False
    """Drop what a run still reads."""
    only_listed: bool = False
    runs: Path | None = None
    cache: Path | None = None


@dataclass(frozen=True)
class Pruned:
    """One thing that goes."""

    folder: Path
    what: str
    """In words."""
    n_bytes: int
    """That are given back."""
    needed_by: tuple[Path, ...] = ()
    """Runs that read it and that no other store of the cache would serve, or that started from it."""
    made: Path | None = None
    """Folder of the store that takes its place."""


@dataclass(frozen=True)
class _Step:
    goes: Pruned
    carry_out: Callable[[], object]


def run(request: PruneOptions) -> list[Pruned]:
    """List what goes and, unless ``only_listed``, let it go. Gives the list.

    Raises SettingsError where a run still reads something of it and ``force`` was not given, and as ``stores.copy``.
    """
    known = settings.load()
    runs, cache = (Path(known.value(key, getattr(request, key)).value) for key in ("runs", "cache"))
    named = [settings.expanded(folder) for folder in request.stores]
    for folder in (*named, cache):
        objects.refuse(folder, "prune", "remove its objects with the store's own tools, or name a folder")
    _check(request, named)
    finished = runs_in(runs)
    steps = [step for folder in named for step in _of_store(request, folder, finished)]
    steps += _without_store(cache, finished) if request.runs_without_store else []
    steps += _left_over(request, named, cache, runs) if request.leftovers else []
    for step in steps:
        _tell(step.goes)
    total = size(sum(step.goes.n_bytes for step in steps))
    say(f"in all: {total} to be freed" if steps else "nothing to drop")
    if request.only_listed:
        return [step.goes for step in steps]
    needing = {each.name: None for step in steps for each in step.goes.needed_by}
    if needing and not request.force:
        raise SettingsError(
            f"{listed(needing)} still need{'s' if len(needing) == 1 else ''} what would go: nothing was dropped; keep "
            "it, or drop it all the same with --force"
        )
    for step in steps:
        step.carry_out()
    if steps:
        say(f"freed: {total}")
    return [step.goes for step in steps]


def _check(request: PruneOptions, named: Sequence[Path]) -> None:
    """Raise SettingsError for a call that says nothing, or two things at once."""
    of_stores = [request.keep_states, request.drop_states, request.to]
    if request.keep_states and request.drop_states:
        raise SettingsError("give --keep-states or --drop-states, not both")
    if any(of_stores) and not named:
        raise SettingsError(
            f"name the stores to take states or sequences from; `{advice.command('info')}` lists them"
        )
    if not any([*of_stores, request.runs_without_store, request.leftovers]):
        raise SettingsError(
            "say what to drop: --keep-states, --drop-states or --to pooled of stores, --runs-without-store, --leftovers"
        )


def _tell(goes: Pruned) -> None:
    used("drop", f"{goes.what}: {goes.folder} ({size(goes.n_bytes)})")
    for each in goes.needed_by:
        used("", f"still needed by the run {each}")
    if goes.made is not None:
        used("", f"what stays of it will be {goes.made}")


def _of_store(request: PruneOptions, folder: Path, finished: Sequence[RunNeeds]) -> Iterator[_Step]:
    """What is dropped of a store: states, sequences, or both."""
    spec, format = stores.read_spec(folder), stores.read_format(folder)
    new = _smaller(request, folder, spec)
    if new is None:
        return
    cache = cache_of(folder, request.cache)
    target = stores.store_path(cache, new, format)
    left = [found for path, found in stores.find(cache) if path.resolve() != folder.resolve()]
    needed_by = tuple(
        each.folder
        for each in finished
        if any(
            is_served(need, [spec]) and not is_served(need, [new, *left])
            for need in (*each.inputs, *each.others)
        )
    )
    gone = [state for state in spec.states if state not in new.states]
    parts = [f"{'state' if len(gone) == 1 else 'states'} {' '.join(gone)}"] if gone else []
    parts += ["sequences"] if spec.frames and not new.frames else []
    kept = {"states": "+".join(new.states)} if gone else {}
    changes = {**kept, "pooled_only": not new.frames, "store_format": format}

    def carry_out() -> None:
        stores.check_unused(folder)
        copied = make(target, new, format, [folder], changes)
        stores.remove(folder, copied.seen[folder])

    freed = max(0, folder_bytes(folder) - bytes_of(new, folder))
    yield _Step(Pruned(folder, " and ".join(parts), freed, needed_by, target), carry_out)


def _smaller(request: PruneOptions, folder: Path, spec: FeatureSpec) -> FeatureSpec | None:
    """The spec of what stays; None: all of it does. Raises SettingsError where nothing would, UnknownNameError."""
    kept = spec.states
    if request.keep_states:
        kept = states.select(spec.states, request.keep_states)
    elif request.drop_states:
        dropped = states.select(spec.states, request.drop_states)
        kept = tuple(state for state in spec.states if state not in dropped)
    if not kept:
        raise SettingsError(f"nothing would be left of {folder}: remove the folder if that is meant")
    new = replace(spec, states=kept)
    if request.to == "pooled":
        new = replace(new, frames=False, through="")  # means were never rounded
    return None if new == spec else new


def _without_store(cache: Path, finished: Sequence[RunNeeds]) -> list[_Step]:
    """Finished runs of which no store of the cache holds what they were trained on."""
    there = [spec for _, spec in stores.find(cache)]
    if finished and not there:  # another cache is meant, or its disk is not there
        raise SettingsError(
            f"{cache} holds no store, so that every run would go; name the cache with --cache"
        )
    gone = [each.folder for each in finished if not all(is_served(need, there) for need in each.inputs)]
    stay = [each for each in finished if each.folder not in gone]
    return [
        _whole(
            "run without its store",
            folder,
            tuple(each.folder for each in stay if folder.name in each.started_from),
        )
        for folder in gone
    ]


def _left_over(request: PruneOptions, named: Sequence[Path], cache: Path, runs: Path) -> list[_Step]:
    """Unfinished stores and runs that nobody goes on with, removals that were cut off, temporaries of the dead."""
    found = named or [path for path, _ in stores.find(cache)]
    parents = sorted({path.parent for path in found} | (set() if named else set(cache.glob("*/"))))
    steps = [
        _whole("unfinished store", path)
        for parent in parents
        for path in stores.abandoned(parent, request.older)
    ]
    for path in found:
        with suppress(SercacheError):  # a damaged one is verify's to tell
            if left := stores.temporaries(path):
                n_bytes = sum(each.stat().st_blocks * 512 for each in left if each.is_file())
                goes = Pruned(path, f"{len(left)} temporaries of dead writers", n_bytes)
                steps.append(_Step(goes, lambda path=path: stores.clear_up(path)))  # type: ignore[misc]
    if not named:
        steps += [
            _whole("unfinished run", path, is_held=is_held) for path in abandoned_runs(runs, request.older)
        ]
        parents += [runs, *runs.glob("*/")]
    steps += [_whole("half removed", path) for parent in parents for path in files.taken_away(parent)]
    return steps


def _whole(
    what: str,
    folder: Path,
    needed_by: tuple[Path, ...] = (),
    is_held: Callable[[Path], bool] = lambda folder: False,
) -> _Step:
    """The removal of a folder, in one step, unless somebody has come to work on it since it was listed."""

    def carry_out() -> None:
        if is_held(folder):
            warn(f"{folder} stays: it is being worked on now")
            return
        with files.write_faults_named(folder, "run the same command again"):
            gone = folder if folder.name.endswith(".gone") else files.take_away(folder)
        shutil.rmtree(gone, ignore_errors=True)

    return _Step(Pruned(folder, what, folder_bytes(folder), needed_by), carry_out)
