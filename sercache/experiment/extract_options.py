"""What a call of extraction asks for, and the command that asks for it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sercache import (
    advice,
    catalog,
    clips,
    encoders,
    states,
    text,
)
from sercache.encoders import Encoder
from sercache.errors import (
    SettingsError,
    UnknownNameError,
)
from sercache.experiment.options import Count, NotNegative, Precision, StoreFormat
from sercache.published import published_setup
from sercache.stores import DType


@dataclass(frozen=True)
class ExtractOptions:
    """The options of one call."""

    encoder: str
    """Empty: one that was made in Python, which no name makes again."""
    dataset: str
    root: Path | None = None
    cache: Path | None = None
    device: str | None = None
    devices: str | None = None
    """Several, by comma: a process for each."""
    revision: str | None = None
    for_head: str | None = None
    states: str | None = None
    clip: str | None = None
    augment: str | None = None
    """What is done to the recordings first, as sercache.augment writes it; None: nothing."""
    variants: Count | None = None
    """How many draws of it, a store each."""
    pooled_only: bool = False
    dtype: DType = "float16"
    store_format: StoreFormat = "zarr"
    precision: Precision = "float32"
    task: str | None = None
    language: str | None = None
    limit: Count | None = None
    transcripts: Path | None = None
    keep_transcripts: bool | None = None
    """Whether transcripts stand in the store's table of the corpus as texts; None: as they stood, else as digests."""
    workers: Count | None = None
    seal_every: NotNegative = 60.0
    shard: str | None = None
    """K/N: the K-th of N parts of the work alone."""
    cluster: str | None = None
    """Workers that share the work: ``local:4``, ``slurm:8``, the address of a Dask scheduler, …"""
    cluster_options: Sequence[str] = ()
    """``KEY=VALUE`` for the jobs of a scheduler."""
    lifetime: str | None = None
    """After which a worker leaves, and another takes its place."""
    dry_run: bool = False


def asked_with(request: ExtractOptions, encoder: Encoder) -> ExtractOptions:
    """The request with what the encoder at hand was loaded from. Raises SettingsError for what would load another."""
    usual = ExtractOptions("", "")
    for name in ("device", "devices", "revision", "precision"):
        if getattr(request, name) != getattr(usual, name):
            raise SettingsError(f"{name} is for an encoder that is named; give it to load_encoder")
    loaded = encoders.loaded_from(encoder)
    if loaded is None:
        return replace(request, encoder="")
    return replace(request, encoder=loaded.name, revision=loaded.revision, precision=loaded.precision)  # type: ignore[arg-type]


def command_again(request: ExtractOptions, **changes: Any) -> str:
    """The command of a request with some of its options changed."""
    usual, names = ExtractOptions(encoder="", dataset=""), {"for_head": "for", "store_format": "format"}
    how = text.reading()
    options = {
        names.get(key, key): value
        for key, value in (asdict(request) | changes).items()
        if value != getattr(usual, key)
    }
    return advice.command(
        "extract", **options, encoding=how.encoding, labels_as_written=how.labels_as_written
    )


def as_published(request: ExtractOptions) -> ExtractOptions:
    """The request with states, clip rule and kind taken from a head's set-up, where it names one."""
    if request.for_head is None:
        return request
    setup = published_setup(catalog.load("sercache.heads", request.for_head), request.dataset)
    return replace(
        request,
        states=request.states or setup.cached_states,
        clip=request.clip or setup.clip,
        pooled_only=request.pooled_only or not setup.cached_frames,
    )


def check_means(request: ExtractOptions) -> None:
    """Raise SettingsError where nothing could be read of what is stored."""
    if request.pooled_only and clips.parse(request.clip or "none").whole:
        raise SettingsError(
            f"--pooled-only stores means, and those of --clip {request.clip} would be over the encoder's padding too; "
            "leave one of the two out"
        )


def check_states(asked: ExtractOptions, request: ExtractOptions, encoder: Encoder) -> None:
    """Raises SettingsError where the encoder lacks the states that a head was published with."""
    if asked.for_head is None or asked.states is not None:
        return
    try:
        states.select(encoder.states, request.states or "all")
    except UnknownNameError as fault:
        raise SettingsError(
            f"{asked.for_head} was published on states {request.states}, {encoder.name} has "
            f"{' '.join(encoder.states)}; choose others with --states, here and in training, for example: "
            + command_again(asked, states="blocks")
        ) from fault
