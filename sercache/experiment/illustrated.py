"""What a page shows of single utterances beside a report: their words and sound, and their places on a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sercache import audio, catalog, clips, settings, stores
from sercache.datasets import Corpus, CorpusInfo, Utterance
from sercache.errors import AudioError, SercacheError, SettingsError, UnknownNameError
from sercache.experiment.corpora import cache_if_any
from sercache.experiment.labels import read_labels
from sercache.experiment.lexical import called
from sercache.record import Report
from sercache.report import PageExtras, UtteranceRow, VectorPlaces, listed_rows, maps, utterance_rows

_SECONDS = 15.0
"""Of a recording that are heard."""
_MOST_CLIPS = 120
_SHARE_OF_WORST = 0.7
"""Of the clips; the others are a sample."""


@dataclass(frozen=True)
class Seen:
    """What pages of one call have in common, each read once."""

    root: Path | None
    cache: Path | None
    """Folder of the feature stores; None where nobody named one."""
    audio: bool | None
    corpora: dict[tuple[str, str], Corpus | str] = field(default_factory=dict)
    """By name and release; why where one cannot be read."""
    sounds: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    """By name and release of the corpus, and id."""
    places: dict[tuple[str, tuple[str, ...]], VectorPlaces | str] = field(default_factory=dict)
    """By digest of the store, and ids; why where there are none."""

    @classmethod
    def of(cls, root: Path | None, cache: Path | None, sound: bool | None) -> Seen:
        """Nothing yet, by the settings of the user."""
        return cls(root, cache_if_any(settings.load(), cache), sound)


def extras_of(report: Report, seen: Seen, n_bytes: int) -> PageExtras:
    """What is at hand of the utterances of a report; sound of at most so many bytes as it stands in a page.

    Raises SettingsError where sound is asked for of a corpus that may not be passed on.
    """
    there = report.cross_corpus[0] if report.cross_corpus and not report.predictions else None
    about, features = (report.corpus, report.features) if there is None else (there.corpus, there.features)
    rows = utterance_rows(report.predictions if there is None else there.predictions, report.target)
    if not rows:
        return PageExtras()
    shown = listed_rows(rows)
    notes: list[str] = []
    words, sound = _heard(about, shown, seen, n_bytes, notes)
    found = _places(features, tuple(sorted(row.id for row in shown)), seen)
    if isinstance(found, str):
        notes.append(f"no map: {found}")
    return PageExtras(words, sound, () if isinstance(found, str) else (found,), tuple(notes))


def _heard(
    about: Mapping[str, Any], rows: Sequence[UtteranceRow], seen: Seen, n_bytes: int, notes: list[str]
) -> tuple[dict[str, str], dict[str, bytes]]:
    """Words and sound by id, as far as the licence of the corpus and the user let them be passed on."""
    key = str(about["name"]), str(about.get("release") or "")
    if key not in seen.corpora:
        seen.corpora[key] = _read(about, seen)
    corpus = seen.corpora[key]
    if isinstance(corpus, str):
        notes.append(f"no words and no sound: {corpus}")
        return {}, {}
    info = _info(corpus)
    if seen.audio and info.clips_may_be_copied is False:
        raise SettingsError(
            f"recordings of {corpus.name} may not be passed on ({info.licence}), so no page has them; leave --audio out"
        )
    if not (info.clips_may_be_copied or seen.audio):
        notes.append(f"no words and no sound: {_why_not(corpus.name, info)}")
        return {}, {}
    by_id = corpus.by_id()
    own = [(row, by_id[row.id]) for row in rows if row.id in by_id]
    words = {row.id: each.transcript for row, each in own if each.transcript}
    if seen.audio is False:
        notes.append("no sound: it was left out by --no-audio")
        return words, {}
    if corpus.from_store is not None:
        notes.append("no sound: the recordings are not at hand, the labels are those of a store")
        return words, {}
    sound = _sound(key, own, seen, n_bytes, notes)
    if sound:
        notes.append(f"words and sound: {info.title}, {info.licence}")
    return words, sound


def _why_not(name: str, info: CorpusInfo) -> str:
    if info.clips_may_be_copied is None:
        return f"whether {name} may be passed on is not known ({info.licence}); --audio puts them in"
    return f"{name} may not be passed on ({info.licence})"


def _read(about: Mapping[str, Any], seen: Seen) -> Corpus | str:
    try:
        corpus = read_labels(called(about), seen.root, settings.load(), seen.cache)
    except SercacheError as fault:
        return str(fault)
    if corpus.reader and not corpus.goes_by(str(about["name"]), str(about.get("release") or "")):
        return f"{corpus.name} is another release now than when the run was trained"
    return corpus


def _info(corpus: Corpus) -> CorpusInfo:
    """What is known of the corpus; of one that a store's table describes what its reader says, as that has licences."""
    if corpus.from_store is None:
        return corpus.info
    try:
        info: CorpusInfo = catalog.load("sercache.datasets", corpus.reader or corpus.name).INFO
    except UnknownNameError:
        return corpus.info
    return info


def _sound(
    key: tuple[str, str],
    own: Sequence[tuple[UtteranceRow, Utterance]],
    seen: Seen,
    n_bytes: int,
    notes: list[str],
) -> dict[str, bytes]:
    """Clips of the worst utterances and of a sample, within so many bytes as base64 has them."""
    found: dict[str, bytes] = {}
    left, faults = n_bytes, list[str]()
    for row, utterance in _chosen(own):
        try:
            clip = seen.sounds.get((*key, row.id)) or _clip(utterance)
        except AudioError as fault:
            faults.append(str(fault))
            continue
        seen.sounds[*key, row.id] = clip
        size = -(-len(clip) // 3) * 4
        if size > left:
            break
        left -= size
        found[row.id] = clip
    if faults:
        notes.append(f"{len(faults)} recordings could not be read, first: {faults[0]}")
    if len(found) < len(own):
        notes.append(f"sound of {len(found)} of {len(own)} utterances, the worst and a sample of the others")
    if any(map(_is_long, (each for row, each in own if row.id in found))):
        notes.append(f"of longer utterances the first {_SECONDS:g} s are heard")
    return found


def _chosen(own: Sequence[tuple[UtteranceRow, Utterance]]) -> list[tuple[UtteranceRow, Utterance]]:
    """The worst, then a sample of the others, always the same; the sample among them, so that neither uses all room."""
    n = min(_MOST_CLIPS, len(own))
    n_worst = min(n, max(round(_SHARE_OF_WORST * n), 1))
    rest = np.random.default_rng(0).permutation(np.arange(n_worst, len(own)))[: n - n_worst].tolist()
    worst = list(range(n_worst))
    order = []
    while worst or rest:
        order += worst[:2] + rest[:1]
        worst, rest = worst[2:], rest[1:]
    return [own[k] for k in order]


def _is_long(utterance: Utterance) -> bool:
    return utterance.end is not None and utterance.end - (utterance.start or 0.0) > _SECONDS


def _clip(utterance: Utterance) -> bytes:
    start = utterance.start
    end = (start or 0.0) + _SECONDS if _is_long(utterance) else utterance.end
    wave = audio.read(utterance.path, audio.OPUS_RATE, start, end)
    return audio.opus(wave[: round(_SECONDS * audio.OPUS_RATE)])


def _places(features: Mapping[str, Any], ids: tuple[str, ...], seen: Seen) -> VectorPlaces | str:
    key = str(features.get("digest", "")), ids
    if key not in seen.places:
        seen.places[key] = _placed(features, ids, seen.cache)
    return seen.places[key]


def _placed(features: Mapping[str, Any], ids: Sequence[str], cache: Path | None) -> VectorPlaces | str:
    """Means of the cached features in the plane; why not, where there is no map."""
    found = stores.find(cache) if cache is not None and cache.is_dir() else []
    folder = next((folder for folder, spec in found if spec.digest == features.get("digest")), None)
    if folder is None:
        return "the features of the run are not in the cache"
    try:
        store = stores.open(folder)
        states = [name for name in features["states"] if name in store.spec.states] or None
        vectors, held = _means(store, ids, states)
        places = maps.tsne(vectors)
    except SercacheError as fault:
        return str(fault)
    n = len(states or store.spec.states)
    over = "time" if n == 1 else f"time and over {n} states"
    what = (
        f"{len(held)} utterances by the cached features of {store.spec.encoder}: means over {over}, scaled by "
        "dimension, brought into the plane by t-SNE"
    )
    return VectorPlaces(what, tuple(held), places)


def _means(
    store: stores.FeatureStore, ids: Sequence[str], states: Sequence[str] | None
) -> tuple[np.ndarray, list[str]]:
    """Vectors (U, D) of the utterances that are held, and their ids: means over states and clips, standardised."""
    rule, wanted, entries = clips.parse(store.spec.clip), set(ids), dict[str, list[str]]()
    for entry in store.ids():
        if (id := clips.utterance_id(entry, rule)) in wanted:
            entries.setdefault(id, []).append(entry)
    flat = [entry for own in entries.values() for entry in own]
    means = store.pooled(flat, states).mean(1)
    ends = np.cumsum([len(own) for own in entries.values()])
    vectors = np.array([part.mean(0) for part in np.split(means, ends[:-1])]) if flat else means
    scale = vectors.std(0) if len(vectors) else 1.0
    return (vectors - vectors.mean(0)) / np.maximum(scale, 1e-8), list(entries)
