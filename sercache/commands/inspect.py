"""`sercache info`: the stores of the cache, and what is known of one."""

from __future__ import annotations

from collections.abc import Sequence

from sercache import advice
from sercache.commands.console import print_json
from sercache.errors import StoreError
from sercache.experiment import info as store_info
from sercache.experiment import listing
from sercache.experiment.origin import extract_command
from sercache.layout import columns
from sercache.progress import say, used
from sercache.stores import FeatureSpec
from sercache.units import duration, size


def info(request: store_info.InfoOptions, *, as_json: bool = False) -> None:
    """List the stores of the cache, or describe those named.

    Those that cannot be opened are listed with the reason, and then a StoreError is raised.
    """
    found = store_info.run(request)
    faults = [each.fault for each in found if each.fault is not None]
    if as_json:
        print_json(store_info.grouped(found, request.by) if request.by else found)
    else:
        _show(found, request)
        for fault in faults:
            say(f"cannot be opened: {fault}")
    if faults:
        raise StoreError(
            f"{len(faults)} of {len(found)} stores cannot be opened; the lines above say why, and what to do"
        )


def _show(found: Sequence[store_info.StoreInfo], request: store_info.InfoOptions) -> None:
    if not found:
        say(
            f"no stores yet; make one with: {advice.command('extract', encoder='demo-wavlm', dataset='demo')}"
        )
    opened = [(each, each.spec) for each in found if each.spec is not None]
    if request.by:
        for line in columns(
            listing.of_groups(store_info.grouped(found, request.by), request.by), right=(1, 2, 3, 4)
        ):
            say(line)
    elif request.stores:
        for each, spec in opened:
            _describe_store(each, spec)
    elif opened:
        for line in columns(
            [listing.HEADING, *(listing.row_of(*each) for each in opened)], right=(5, 6, 7), below=8
        ):
            say(line)


def _describe_store(store: store_info.StoreInfo, spec: FeatureSpec) -> None:
    used("store", str(store.folder))
    used("digest", spec.digest)
    used("corpus", f"{spec.corpus} {spec.release}".rstrip())
    used("encoder", spec.shown)
    for key, value in spec.identity.items():
        used("", f"{key}: {value}")
    if store.trained_on:
        used("", str(store.trained_on))
    used("states", " ".join(spec.states))
    rate = "word pieces" if spec.is_text else f"{spec.sample_rate / spec.hop:g} frames/s"
    used("shape", f"D = {spec.dim}, {rate}, {spec.dtype}, clip {spec.sound}")
    length = "" if spec.is_text else f"{duration(store.seconds)} of audio, "
    used("entries", f"{store.n_entries}, {length}{store.n_frames} frames")
    if spec.is_text:
        used(
            "text",
            f"of a file, digest {spec.transcripts}" if spec.transcripts else "the corpus' own transcripts",
        )
    used("disk", size(store.n_bytes))
    used("last use", listing.day(store.last_used))
    for entry_id, reason in store.skipped.items():
        used("skipped", f"{entry_id}: {reason}")
    if store.origin:
        used("made by", f"encoder {store.origin['encoder']}, root {store.origin['root']}")
        used("continue", extract_command(store.folder))
