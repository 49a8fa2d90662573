"""Which store of the cache serves a head, and what to extract where none does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sercache import advice, catalog, clips, encoders, settings, states, stores
from sercache.augment import said
from sercache.datasets import Corpus
from sercache.errors import MissingFeaturesError, StoreError, UnknownNameError
from sercache.experiment.origin import is_usual, known_origin
from sercache.recipe import Setup
from sercache.stores import FeatureSpec


@dataclass(frozen=True)
class FoundStore:
    """A store that serves, and in what it differs from what was asked for."""

    folder: Path
    spec: FeatureSpec
    deviations: tuple[str, ...]


_ARITHMETIC = ("precision", "device")
"""What an identity says of arithmetic that is not the CPU's in float32; options of ``extract``."""
_RICHNESS = {"float32": 3, "bfloat16": 2, "float16": 2, "int8": 0}
"""Which of several stores is taken where no one is named: what was rounded least."""


def find_store(
    cache: Path,
    corpus: Corpus,
    setup: Setup,
    head_name: str,
    *,
    clip_is_chosen: bool,
    revision: str | None = None,
    identity: Mapping[str, Any] | None = None,
    transcripts: str | None = None,
) -> FoundStore:
    """The store that ``setup`` means; of the weights and settings ``identity`` where it is given.

    ``transcripts``: digest of the texts that a store of an encoder of text is to be of, empty for the corpus' own;
    None for any.

    A store with another clip rule serves where the rule was not chosen by the user, and the difference is
    named. Raises MissingFeaturesError with the command that makes the store, StoreError where stores of
    different weights fit.
    """
    is_encoder = partial(_has_identity, identity) if identity else _encoder_test(setup.encoder, revision)
    fitting = [
        (folder, spec)
        for folder, spec in stores.find(cache)
        if (spec.corpus == corpus.name or corpus.goes_by(spec.corpus, spec.release))
        and is_encoder(spec)
        and serves(spec, setup)
        and not spec.augment  # only one that is named
        and (transcripts is None or not spec.is_text or spec.transcripts == transcripts)
    ]
    current = [pair for pair in fitting if corpus.goes_by(pair[1].corpus, pair[1].release)]
    exact = [pair for pair in current if _same_clip(pair[1], setup)]
    usable = exact or ([] if clip_is_chosen else current)
    if not usable:
        asked = {name: value for name, value in (identity or {}).items() if name in _ARITHMETIC}
        raise MissingFeaturesError(_missing(cache, corpus, setup, head_name, fitting, asked))
    _one_set_of_weights(usable)
    folder, spec = max(usable, key=_preference)
    return FoundStore(folder, spec, _differences(spec, setup))


def _preference(found: tuple[Path, FeatureSpec]) -> tuple[object, ...]:
    folder, spec = found
    richness = min(_RICHNESS[each] for each in (spec.dtype, *filter(None, spec.through.split("+"))))
    return richness, not spec.through, not spec.frames, str(folder)


def check_store(folder: Path, corpus: Corpus, setup: Setup, clip_is_chosen: bool) -> FoundStore:
    """The store at ``folder``, if it serves. Raises StoreError or MissingFeaturesError where it does not."""
    spec = stores.read_spec(folder)
    if not corpus.goes_by(spec.corpus, spec.release):
        raise StoreError(
            f"{folder} holds {spec.corpus} {spec.release}, asked for {corpus.name} {corpus.release}; "
            "name the corpus with --dataset and --root"
        )
    if not serves(spec, setup) or (clip_is_chosen and not _same_clip(spec, setup)):
        raise MissingFeaturesError(
            f"{folder} holds states {' '.join(spec.states)} ({'frames' if spec.frames else 'pooled only'}, "
            f"clip {spec.clip}), asked for {setup.cached_states} "
            f"({'frames' if setup.cached_frames else 'pooled'}, clip {setup.clip})"
        )
    return FoundStore(folder, spec, _differences(spec, setup))


def _same_clip(spec: FeatureSpec, setup: Setup) -> bool:
    # trim:15s is trim:15; a transcript is never cut.
    return spec.is_text or spec.clip == str(clips.parse(setup.clip))


def holds(spec: FeatureSpec, setup: Setup) -> bool:
    """Whether a store has what a set-up reads, cut as it says."""
    return serves(spec, setup) and _same_clip(spec, setup)


def serves(spec: FeatureSpec, setup: Setup) -> bool:
    """Whether a store has the states, and the frames if they are needed."""
    if setup.cached_frames and not spec.frames:
        return False
    try:
        wanted = states.select(spec.encoder_states or spec.states, setup.cached_states)
    except UnknownNameError:
        return False
    if setup.cached_states == "all":
        return True
    return set(wanted) <= set(spec.states)


def _encoder_test(name: str, revision: str | None) -> Callable[[FeatureSpec], bool]:
    """Whether a store is of this encoder; a folder's weights are hashed once, here."""
    if encoders.is_local(name):
        identity = encoders.identify(name, revision=revision)
        return lambda spec: encoders.without_device(spec.identity) == identity
    known, name = encoders.short_names(), encoders.own_name(name)
    source = known[name][1] if name in known else name

    def test(spec: FeatureSpec) -> bool:
        same = spec.encoder == name or spec.identity.get("source") == source
        return same and (revision is None or str(spec.identity.get("revision", "")).startswith(revision))

    return test


def _has_identity(identity: Mapping[str, Any], spec: FeatureSpec) -> bool:
    return dict(spec.identity) == dict(identity)


def _one_set_of_weights(usable: list[tuple[Path, FeatureSpec]]) -> None:
    by_weights = {
        str((sorted(spec.identity.items()), spec.transcripts, spec.speech)): folder for folder, spec in usable
    }
    if len(by_weights) > 1:
        raise StoreError(
            "stores of different weights, settings or devices fit: "
            + ", ".join(sorted(str(folder) for folder in by_weights.values()))
            + "; choose one with --store"
        )


def encoder_of(store: Path, asked: str | None) -> str:
    """The encoder of a store that was named: as it was ``asked`` for, if it was. Raises StoreError for another one."""
    spec = stores.read_spec(store)
    if asked not in (None, spec.encoder, spec.shown) and not is_same(
        str(asked), spec.identity.get("revision"), spec.identity
    ):
        raise StoreError(
            f"{store} was made by {spec.encoder}, asked for --encoder {asked}; leave one of --store and --encoder out"
        )
    return asked or spec.encoder


def is_same(encoder: str, revision: str | None, identity: Mapping[str, Any]) -> bool:
    """Whether a checkpoint is the one that made a store, whatever its arithmetic's precision and device were.

    Raises EncoderError or UnknownNameError where there is no such checkpoint.
    """
    made_by = {name: value for name, value in identity.items() if name not in _ARITHMETIC}
    return dict(encoders.identify(encoder, revision=revision)) == made_by


def _differences(spec: FeatureSpec, setup: Setup) -> tuple[str, ...]:
    found = []
    if not _same_clip(spec, setup):
        found.append(f"features are cut by clip rule {spec.clip}, not {setup.clip}")
    if spec.augment:
        found.append(f"features are of augmented recordings: {said(spec.augment)}")
    if setup.cached_frames and spec.dtype == "int8":
        found.append("sequences are kept as int8, a coarser type than others")
    return tuple(found)


def _missing(
    cache: Path,
    corpus: Corpus,
    setup: Setup,
    head_name: str,
    fitting: list[tuple[Path, FeatureSpec]],
    arithmetic: Mapping[str, Any],
) -> str:
    """What is not there, and the command that makes it, in this ``arithmetic``."""
    remedy = _remedy(cache, corpus, setup, head_name, arithmetic)
    if fitting:
        others = ", ".join(
            sorted({f"release {spec.release or '-'}, clip {spec.clip}" for _, spec in fitting})
        )
        return (
            f"the cache has {setup.encoder} x {corpus.name} only as {others}; asked for release "
            f"{corpus.release or '-'}, clip {setup.clip}; {_copied(corpus, setup, fitting)}{remedy}"
        )
    found = [spec for _, spec in stores.find(cache)]
    here = [spec for spec in found if corpus.goes_by(spec.corpus, spec.release) or spec.corpus == corpus.name]
    about = f" (there is: {', '.join(sorted({spec.encoder for spec in here}))})" if here else ""
    kind = "frames" if setup.cached_frames else "means"
    return (
        f"the cache {cache} has no {kind} of states {setup.cached_states} of {setup.encoder} x {corpus.name}{about}; "
        f"{remedy}"
    )


def _copied(corpus: Corpus, setup: Setup, fitting: list[tuple[Path, FeatureSpec]]) -> str:
    """What is worth knowing where only the labels of a table may have changed."""
    other = [spec for _, spec in fitting if spec.release != corpus.release and _same_clip(spec, setup)]
    return "what has equal audio is copied from there, not encoded; " if other else ""


def _remedy(cache: Path, corpus: Corpus, setup: Setup, head_name: str, arithmetic: Mapping[str, Any]) -> str:
    """The `sercache extract` that serves the set-up; of states that the encoder lacks, those to choose among."""
    encoder, on_offer = _at_hand(cache, setup.encoder)
    if on_offer and not _has(on_offer, setup.cached_states):
        example = "--states blocks"
        if setup.finetune_from is not None:
            encoders.check_trainable(encoder)
            example = f"--finetune-from {on_offer[0]}"
        option = example.partition(" ")[0]
        return f"{setup.encoder} has states {' '.join(on_offer)}: choose with {option}, for example {example}"
    # A head that is a class in memory has no name that --for takes.
    published = catalog.load("sercache.heads", head_name).SETUP if head_name else None
    same = [each and (each.cached_states, each.clip, each.cached_frames) for each in (setup, published)]
    own: dict[str, object] = {
        "states": setup.cached_states,
        "clip": setup.clip,
        "pooled_only": not setup.cached_frames,
    }
    known = settings.load()
    is_found = corpus.info.generated or (not corpus.reader and known.root(corpus.name))
    command = advice.command(
        "extract",
        encoder=encoder,
        dataset=corpus.dataset,
        root=None if is_found else "FOLDER" if corpus.from_store else (corpus.table or corpus.root),
        **({"for_": head_name} if same[0] == same[1] else own),
        task=None if corpus.task_name(setup.task) == corpus.task_name(None) else setup.task,
        cache=None if is_usual(cache) else cache,
        **arithmetic,
    )
    return f"run: {command}"


def _at_hand(cache: Path, encoder: str) -> tuple[str, tuple[str, ...]]:
    """What ``--encoder`` takes for this one, and its states where they are known without a download.

    A folder's name stands in stores and runs; where the folder lies, a store of the cache remembers.
    """
    known: tuple[str, ...] = ()
    for folder, spec in stores.find(cache):
        if encoder not in (spec.encoder, spec.identity.get("source")):
            continue
        known = spec.encoder_states or known
        if encoder not in encoders.short_names() and "/" not in encoder:
            encoder = str(known_origin(folder).get("encoder", encoder))
            break
    if not known and encoders.is_local(encoder):
        known = encoders.load(encoder).states
    return encoder, known


def _has(on_offer: Sequence[str], selection: str) -> bool:
    try:
        return bool(states.select(on_offer, selection))
    except UnknownNameError:
        return False
