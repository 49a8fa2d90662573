"""Transcripts of a file in the place of the corpus' own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from sercache import text, transcripts
from sercache.datasets import Utterance
from sercache.encoders import Encoder, modality
from sercache.errors import SettingsError


def replaced(
    utterances: Sequence[Utterance], file: Path | None, encoder: Encoder
) -> tuple[list[Utterance], str]:
    """The utterances with the transcripts of ``file`` and no others, and the digest of the file's content.

    Without a file they stay as they are, and the digest is empty. Raises SettingsError for an encoder of
    audio, a file that cannot be read, and one that names none of the utterances.
    """
    if file is None:
        return list(utterances), ""
    if modality(encoder) != "text":
        raise SettingsError(f"--transcripts is for encoders of text; {encoder.name} takes recordings")
    texts = transcripts.read(file)
    # A file and a corpus may come from machines that compose letters otherwise.
    alike = {text.composed(name): said for name, said in texts.items()} | texts
    if not any(text.composed(u.id) in alike for u in utterances):
        raise SettingsError(
            f"{file} has none of the {len(utterances)} utterances; its first id is {next(iter(texts))}, expected "
            f"ids like {utterances[0].id}"
        )
    found = [
        dataclasses.replace(u, transcript=alike.get(u.id, alike.get(text.composed(u.id)))) for u in utterances
    ]
    return found, transcripts.digest(texts)
