"""The disk in order: stores of other types and formats, several as one, and what is needed no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sercache.api._arguments import AnyPath, Progress, told

if TYPE_CHECKING:
    from sercache.experiment.convert import Converted
    from sercache.experiment.merge import Merged


def convert(store: AnyPath, *, progress: Progress = True, **settings: Any) -> Converted:
    """Make a store of another type or format of the one in the folder ``store``, which stays; nothing is encoded.

    ``settings`` are the options of ``sercache convert``: ``dtype`` (``float16``, ``bfloat16``, ``int8``, ``float32``),
    ``format``, ``cache``. What comes back names the new folder, all bytes of which were checked. Raises SettingsError,
    NumericRangeError for values that do not fit, StoreError, DiskSpaceError.
    """
    from sercache.experiment import convert as work
    from sercache.experiment import filled

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
    from sercache.experiment import filled
    from sercache.experiment import merge as work

    request = filled(work.MergeOptions, "merge", {"stores": stores, "into": into, **settings})
    with told(progress, request, settings):
        return work.run(request)
