"""A store in another type or another format, made of what is stored: nothing is encoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sercache import settings, stores
from sercache.errors import SettingsError
from sercache.experiment.info import folder_bytes
from sercache.experiment.options import StoreFormat
from sercache.experiment.upkeep import cache_of, make
from sercache.progress import say, used
from sercache.stores import DType, FeatureSpec
from sercache.units import size


@dataclass(frozen=True)
class ConvertOptions:
    """The options of one call."""

    store: Path
    dtype: DType | None = None
    """Of the frames; None: as it is."""
    store_format: StoreFormat | None = None
    """None: as it is."""
    cache: Path | None = None
    """Where the new store goes; None: to the cache that the store lies in."""


@dataclass(frozen=True)
class Converted:
    """What a conversion made."""

    folder: Path
    """Of the new store, which was checked."""
    spec: FeatureSpec
    n_new: int
    """Entries that were converted by this call."""
    n_held: int
    """Entries that an earlier call had converted."""
    n_bytes: int
    """On disk."""


def run(request: ConvertOptions) -> Converted:
    """Convert as asked. Raises SettingsError where there is nothing to convert, and as ``stores.copy``."""
    source = settings.expanded(request.store)
    spec, format = stores.read_spec(source), stores.read_format(source)
    new = _spec(source, spec, request.dtype)
    wanted = request.store_format or format
    if new == spec and wanted == format and request.cache is None:
        raise SettingsError(
            f"{source} is a {format} store{f' of {spec.dtype}' if spec.frames else ''} already; say what to make of "
            "it with --dtype or --format"
        )
    target = stores.store_path(cache_of(source, request.cache), new, wanted)
    if target.absolute() == source.absolute():
        raise SettingsError(f"{source} is that store already; name another --cache")
    used("from", str(source))
    used("to", f"{target}  ({new.values if new.frames else 'means'}, {wanted})")
    copied = make(target, new, wanted, [source], {"dtype": new.dtype, "store_format": wanted})
    done = Converted(target, new, copied.n_new, copied.n_held, folder_bytes(target))
    before = f"{size(done.n_bytes)} on disk, from {size(folder_bytes(source))}"
    say(f"converted: {done.n_new} entries, {done.n_held} were there; every byte checked; {before}")
    return done


def _spec(folder: Path, spec: FeatureSpec, dtype: DType | None) -> FeatureSpec:
    """The spec of the new store. Raises SettingsError for a type that makes nothing better."""
    if dtype in (None, spec.dtype):
        return spec
    assert dtype is not None
    if not spec.frames:
        raise SettingsError(
            f"{folder} keeps means over time only, which are float32 in every store; leave --dtype out"
        )
    if spec.dtype == "int8":
        raise SettingsError(
            f"{folder} is of int8, from which no other type is won back; convert the store that it came from"
        )
    return spec.of_dtype(dtype)
