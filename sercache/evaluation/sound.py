"""Equal audio: utterances that were encoded from the same samples, found by the digests that the stores hold.

Nothing in a corpus' labels tells of it: one recording under two ids, by two speakers or with two labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from sercache.clips import parse
from sercache.errors import ProtocolError
from sercache.protocols import Fold
from sercache.record import SharedAudio
from sercache.stores import FeatureStore
from sercache.views import stored_entries

Audio = Mapping[str, tuple[str, ...]]
"""Digests of the pieces of each utterance: one, or several where recordings are split."""

_SHOWN = 5
"""Pairs that are named."""


def audio_of(stores: Sequence[FeatureStore], ids: Collection[str]) -> Audio | None:
    """The audio of each of these utterances; None where no store holds audio, or it was not noted."""
    for store in stores:
        if store.spec.is_text:  # equal words are not equal sound
            continue
        found = _digests(store, ids)
        return found if all(all(each) for each in found.values()) else None
    return None


def _digests(store: FeatureStore, ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    if parse(store.spec.clip).kind != "split":  # an entry is an utterance: no map of all entries is needed
        wanted = frozenset(ids)
        digests = {each.id: (each.audio_digest,) for each in store.entries().values() if each.id in wanted}
        return {id: digests.pop(id) for id in ids if id in digests}
    entries, held = store.entries(), stored_entries(store)
    return {id: tuple(entries[entry].audio_digest for entry in held[id]) for id in ids if id in held}


def shared_audio(fold: Fold, audio: Audio | None, speakers: Mapping[str, str]) -> SharedAudio | None:
    """What the parts of a fold share; None where audio is not known."""
    if audio is None:
        return None
    trained = owners(audio, fold.train if fold.dev_is_test else (*fold.train, *fold.dev), held_by=fold.test)
    pairs = [(id, others) for id in fold.test if (others := equal_to(id, audio, trained))]
    only_train = owners(audio, fold.train, held_by=fold.dev)
    dev = [] if fold.dev_is_test else [id for id in fold.dev if equal_to(id, audio, only_train)]
    counts: Counter[tuple[str, str]] = Counter()
    for id, others in pairs:
        # Each pair once, in an order that is the same in every process: it decides between pairs of one count.
        counts.update(
            list(dict.fromkeys((speakers.get(id, ""), speakers.get(other, "")) for other in others))
        )
    return SharedAudio(
        n_test=len(pairs),
        n_dev=len(dev),
        n_left_out=len(fold.left_out),
        speakers=tuple((*pair, n) for pair, n in counts.most_common(_SHOWN)),
        first=tuple((id, others[0]) for id, others in pairs[:_SHOWN]),
    )


def kept_apart(fold: Fold, audio: Audio, labels: Mapping[str, str]) -> Fold:
    """The fold without training utterances that equal a dev or test recording, or dev ones that equal a test one.

    ``labels`` are classes by id; none where the task gives numbers. Raises ProtocolError where nothing of a class, or
    nothing at all, is left to train.
    """
    tested = owners(audio, fold.test)
    dev = fold.dev if fold.dev_is_test else tuple(id for id in fold.dev if not equal_to(id, audio, tested))
    judged = owners(audio, (*fold.test, *dev))
    train = tuple(id for id in fold.train if not equal_to(id, audio, judged))
    if lost := {labels.get(id, "any value") for id in fold.train} - {
        labels.get(id, "any value") for id in train
    }:
        raise ProtocolError(
            f"fold {fold.name}: what differs from the test part by its audio has no training utterance of "
            f"{', '.join(sorted(lost))}; leave --duplicates apart out, or choose another protocol"
        )
    left_out = sorted({*fold.train, *fold.dev} - {*train, *dev, *fold.test})
    return replace(fold, train=train, dev=dev, left_out=tuple(left_out))


def owners(audio: Audio, ids: Iterable[str], *, held_by: Iterable[str] | None = None) -> dict[str, list[str]]:
    """Which of some utterances hold a digest; of those alone that others hold, if these are given."""
    asked = None if held_by is None else {digest for id in held_by for digest in audio.get(id, ())}
    found: dict[str, list[str]] = {}
    for id in ids:
        for digest in audio.get(id, ()):
            if asked is None or digest in asked:
                found.setdefault(digest, []).append(id)
    return found


def equal_to(id: str, audio: Audio, others: Mapping[str, Sequence[str]]) -> list[str]:
    """Utterances among ``others`` (see ``owners``) with a piece that equals one of ``id``."""
    return list(dict.fromkeys(other for digest in audio.get(id, ()) for other in others.get(digest, ())))


def equal_within(
    audio: Audio | None, ids: Collection[str], labels: Mapping[str, str]
) -> dict[str, object] | None:
    """How many utterances of a corpus are one recording with another, and with another label; None: not known.

    ``labels`` are classes by id; none where the task gives numbers.
    """
    if audio is None:
        return None
    seen: set[tuple[str, ...]] = set()
    again: set[tuple[str, ...]] = set()  # few have equals
    for id in ids:
        own = audio.get(id, (id,))
        (again if own in seen else seen).add(own)
    whole: dict[tuple[str, ...], list[str]] = {}
    for id in ids if again else ():
        if (own := audio.get(id, (id,))) in again:
            whole.setdefault(own, []).append(id)
    groups = list(whole.values())
    unlike = [ids for ids in groups if len({labels.get(id) for id in ids}) > 1]
    return {
        "n_utterances": sum(map(len, groups)),
        "first": groups[0][:2] if groups else [],
        "n_other_label": sum(map(len, unlike)),
        "first_other_label": [f"{id} ({labels[id]})" for id in _two_labels(unlike[0], labels)]
        if unlike
        else [],
    }


def _two_labels(ids: Sequence[str], labels: Mapping[str, str]) -> list[str]:
    return [ids[0], next(id for id in ids if labels[id] != labels[ids[0]])]
