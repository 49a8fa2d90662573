"""Whether what is tested was trained on: by digests of the audio, whatever corpora and files are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sercache.datasets import Corpus
from sercache.errors import SettingsError
from sercache.evaluation.material import Material
from sercache.evaluation.parts import Part
from sercache.record import Recording

_DIGITS = 16
"""Of a digest that are kept: two of a million recordings agree by chance once in 10^7 times."""


def trained_recordings(material: Material, corpus: Corpus) -> tuple[Recording, ...] | None:
    """Train and dev parts of all folds, and added corpora; None where the audio of one of these is not known."""
    trained = {id for fold in material.folds for id in (*fold.train, *fold.dev)}
    parts = [(corpus.name, material.main, trained)]
    parts += [(extra.corpus.name, part, set(part.truth.values)) for extra, part in material.also]
    found: list[Recording] = []
    for name, part, ids in parts:
        if part.audio is None:
            return None
        found += [
            Recording(name, id, digest[:_DIGITS]) for id in sorted(ids) for digest in part.audio.get(id, ())
        ]
    return tuple(found)


def unseen(material: Material, recordings: Sequence[Recording] | None, duplicates: str | None) -> Material:
    """The material with other corpora checked against what was trained on. Raises as ``unseen_part``."""
    checked = [
        (extra, unseen_part(extra.corpus.name, part, recordings, duplicates))
        for extra, part in material.cross_corpus
    ]
    return replace(material, cross_corpus=tuple(checked))


def unseen_part(
    name: str, part: Part, recordings: Sequence[Recording] | None, duplicates: str | None
) -> Part:
    """A corpus to be tested on, with a remark on what of it was trained on; ``apart``: without that.

    Raises SettingsError where something was trained on and nobody said what is to be done about it, or all of it was.
    """
    if recordings is None or part.audio is None:
        line = f"{name}: whether any of its recordings was trained on is not known (digests of audio are not recorded)"
        return replace(part, remarks=(line,))
    known = {each.audio: each for each in recordings}
    found = {id: known[key] for id in part.truth.values for key in keys_of(part.audio, id) if key in known}
    if not found:
        return replace(part, remarks=(f"{name}: none of its recordings was trained on (checked by audio)",))
    n, (id, equal) = len(part.truth.values), next(iter(found.items()))
    first = f"first: {id} = {equal.corpus} {equal.id}"
    count = f"{len(found)} of {n} utterances of {name} have audio that is trained on, {first}"
    if len(found) == n:
        raise SettingsError(f"{count}: testing on {name} is no test; leave it out of what is tested on")
    if duplicates is None:
        raise SettingsError(
            f"{count}; --duplicates apart leaves these out of the test, --duplicates keep counts them"
        )
    if duplicates == "keep":
        return replace(
            part, remarks=(f"{count}; they are counted (duplicates keep), though they are no test",)
        )
    rest = part.without(
        {id: f"its audio is trained on ({each.corpus} {each.id})" for id, each in found.items()}
    )
    return replace(rest, remarks=(f"{count}; they are left out of the test (duplicates apart)",))


def check_initial(
    material: Material, corpus: Corpus, recordings: Sequence[Recording] | None, duplicates: str | None
) -> tuple[str, ...]:
    """A remark on test utterances that runs which gave initial weights were trained on, under another corpus' name.

    What they were trained on of this corpus is said fold by fold where the weights are read. Raises SettingsError where
    something was trained on and nobody said to keep it.
    """
    audio = material.main.audio
    if recordings is None:
        return (
            "which recordings the initial weights were trained on is not recorded: equal audio is not checked there",
        )
    known = {each.audio: each for each in recordings if not corpus.is_called(each.corpus, "")}
    if audio is None or not known:
        return ()
    tested = sorted({id for fold in material.folds for id in fold.test})
    found = {id: known[key] for id in tested for key in keys_of(audio, id) if key in known}
    if not found:
        return ()
    id, equal = next(iter(found.items()))
    line = (
        f"{len(found)} of {len(tested)} test utterances have audio that the initial weights were trained on, "
        f"first: {id} = {equal.corpus} {equal.id}"
    )
    if duplicates != "keep":
        raise SettingsError(f"{line}; take other initial weights, or count these with --duplicates keep")
    return (f"{line}; they are counted (duplicates keep), though they are no test",)


def keys_of(audio: Mapping[str, tuple[str, ...]], id: str) -> list[str]:
    """What the recordings of an utterance are told by."""
    return [digest[:_DIGITS] for digest in audio.get(id, ())]
