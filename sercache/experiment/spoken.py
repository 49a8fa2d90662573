"""What is said in recordings that are predicted by their words: transcripts of a file, found by id or path."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from sercache import text, transcripts
from sercache.experiment.incoming import Asked


def given(file: Path) -> Callable[[Asked], Asked]:
    """Gives a recording its transcript out of ``file`` (id and text), as `sercache transcribe` writes one.

    A recording is meant by its id, or by the end of its path, with or without the suffix: ``a/1``, ``1.wav``. One
    transcript goes to one recording. Raises SettingsError for a file that cannot be read.
    """
    texts = {text.composed(name): said for name, said in transcripts.read(file).items()}
    owners: dict[str, Path] = {}

    def with_words(each: Asked) -> Asked:
        name = next((name for name in _names(each) if name in texts), None)
        if each.fault is not None or name is None:
            return each
        path = each.utterance.path
        if owners.setdefault(name, path) != path:
            fault = f"{path}: {file} has {name} once, and {owners[name]} took it; name both by longer paths"
            return dataclasses.replace(each, fault=fault)
        return dataclasses.replace(
            each, utterance=dataclasses.replace(each.utterance, transcript=texts[name])
        )

    return with_words


def _names(each: Asked) -> list[str]:
    """All that a file may call a recording, the longest first."""
    parts = each.utterance.path.parts
    ends = ["/".join(parts[k:]) for k in range(len(parts))]
    suffix = each.utterance.path.suffix
    found = [each.utterance.id, *(name for end in ends for name in (end, end.removesuffix(suffix)))]
    return [text.composed(name) for name in found]
