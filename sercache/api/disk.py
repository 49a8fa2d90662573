"""The disk in order: stores of other types and formats, several as one, and what is needed no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sercache.api._arguments import AnyPath, Progress, told
from sercache.experiment import filled

if TYPE_CHECKING:
    from sercache.experiment.convert import Converted
    from sercache.experiment.merge import Merged
    from sercache.experiment.prune import Pruned


def convert(store: AnyPath, *, progress: Progress = True, **settings: Any) -> Converted:
    """Make a store of another type or format of the one in the folder ``store``, which stays; nothing is encoded.

    ``settings`` are the options of ``sercache convert``: ``dtype`` (``float16``, ``bfloat16``, ``int8``, ``float32``),
    ``format``, ``cache``. What comes back names the new folder, all bytes of which were checked. Raises SettingsError,
    NumericRangeError for values that do not fit, StoreError, DiskSpaceError.
    """
    from sercache.experiment import convert as work

    request = filled(work.ConvertOptions, "convert", {"store": store, **settings})
    with told(progress, request, settings):
        return work.run(request)


def merge(
    stores: Sequence[AnyPath], into: AnyPath | None = None, *, progress: Progress = True, **settings: Any
) -> Merged:
    """Make one store of several of one spec, made on two machines or of parts of a corpus; nothing is encoded.

    ``into`` is the folder to make or fill, by default its place in the cache. ``settings`` are the options of
    ``sercache merge``: ``cache``, and ``remove_sources=True``, which removes the others once the result was checked.
    Raises StoreError for stores of several specs, or other features under one id.
    """
    from sercache.experiment import merge as work

    request = filled(work.MergeOptions, "merge", {"stores": stores, "into": into, **settings})
    with told(progress, request, settings):
        return work.run(request)


def prune(
    stores: AnyPath | Sequence[AnyPath] = (), *, progress: Progress = True, **settings: Any
) -> list[Pruned]:
    """Give disk back: states and sequences of stores, runs without their store, leftovers; gives what went.

    ``settings`` are the options of ``sercache prune``: ``keep_states``, ``drop_states``, ``to="pooled"``,
    ``runs_without_store``, ``leftovers``, ``older`` (days), ``cache``, ``runs``; ``dry_run=True`` lists what would go.
    Raises SettingsError where a run still reads some of it, unless ``force=True``, and StoreError where somebody has
    a store open.
    """
    from sercache.experiment import prune as work

    request = filled(work.PruneOptions, "prune", {"stores": stores, **settings})
    with told(progress, request, settings):
        return work.run(request)
