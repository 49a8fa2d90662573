"""CMU-MOSEI (Zadeh et al., ACL 2018): opinions on YouTube, sentiment and six emotions per segment."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from sercache.datasets._check import assemble
from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _tables
from sercache.datasets._files import child, find_root, walk
from sercache.datasets._labels import canonical, four_class
from sercache.datasets._records import CorpusInfo, PublishedList, Skipped, Utterance
from sercache.datasets._text import WESTERN, read_lines
from sercache.errors import CorpusError

_LABELS = "CMU_MOSEI_Labels.csd"
_CLASSES = {
    name: canonical(name) or name for name in ("anger", "disgust", "fear", "happy", "sad", "surprise")
}

INFO = CorpusInfo(
    title="CMU Multimodal Opinion Sentiment and Emotion Intensity (CMU-MOSEI)",
    language="en",
    n_speakers=None,
    hours=65.0,
    licence="research; the sound belongs to its uploaders, no redistribution",
    licence_id="LicenseRef-CMU-MOSEI",
    restricted=True,
    access="http://multicomp.cs.cmu.edu/resources/cmu-mosei-dataset/ (often offline)",
    tree=(
        f"<root>/{_LABELS}\n<root>/Raw/Audio/Full/WAV_16000/<video>.wav\n"
        "<root>/Raw/Transcript/Segmented/Combined/<video>.txt (optional)"
    ),
    tasks={"6class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="6class",
    default_protocol="group-kfold:5",
    notes=(
        "attributes holds sentiment (-3 to 3) and the six emotions (0 to 3) as published.",
        "The label is the strictly greatest emotion; none above 0 gives the label none, a tie none either, "
        "tie; both belong to no task. There is no neutral.",
        "Speakers are not published: group is the video, and speaker is taken to be it.",
        "The standard folds are lists of videos in the SDK, not in the corpus: write them as lines "
        "video<TAB>train, dev or test, and ask for fixed:<that file>.",
        "Hours are estimated.",
    ),
    published=(
        PublishedList(
            rows=23259, sha256_ids="4f4c898c2a232b5d83208f57e89787a681914f1b84f06b39eff648e04d11c9a8"
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The labelled segments whose video's sound is below ``root``.

    Raises CorpusError where the label file is missing or is not what it should be.
    """
    folder = find_root(root, "cmu-mosei", f"the label file {_LABELS}", lambda p: (p / _LABELS).is_file())
    sounds = {path.stem: path for path in walk(root)}
    texts = child(folder, "Raw", "Transcript", "Segmented", "Combined")
    utterances: list[Utterance] = []
    skipped: list[Skipped] = []
    for video, rows in _labels(folder / _LABELS).items():
        if video not in sounds:
            skipped.append(Skipped(video, f"no sound {video}.wav; {len(rows)} segments left out"))
            continue
        try:
            transcripts = _transcripts(texts / f"{video}.txt") if texts else {}
        except CorpusError as fault:  # some files of the release are no text
            skipped.append(Skipped(f"{video}.txt", f"transcripts left out: {fault}"))
            transcripts = {}
        for k, (start, end, values) in enumerate(rows):
            if not end > max(start, 0.0):
                skipped.append(Skipped(f"{video}[{k}]", f"ends at {end} s before it starts"))
                continue
            text = transcripts.get((round(start, 2), round(end, 2)))
            utterances.append(_utterance(video, k, sounds[video], (start, end), values, text))
    return assemble("cmu-mosei", folder, INFO, utterances, skipped, release="sdk")


def _utterance(
    video: str, k: int, path: Path, span: tuple[float, float], values: dict[str, float], text: str | None
) -> Utterance:
    emotions = {name: values.get(name, 0.0) for name in _CLASSES}
    top = max(emotions.values())
    strongest = [name for name, value in emotions.items() if value == top]
    label = "none" if not top > 0 else strongest[0] if len(strongest) == 1 else "tie"
    return Utterance(
        id=f"{video}[{k}]",
        path=path,
        raw_label=label,
        speaker=video,
        group=video,
        # Some segments are published with a start below zero.
        start=max(span[0], 0.0),
        end=span[1],
        transcript=text,
        language="en",
        attributes=values,
    )


Row = tuple[float, float, dict[str, float]]
"""Start (s), end (s), values by name."""


def _labels(path: Path) -> dict[str, list[Row]]:
    """Rows of each video in the order of the file; names come from the file's own metadata."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            (top,) = file.values()
            names = [str(name) for name in json.loads(top["metadata/dimension names"][0])]
            return {video: _rows(item, names) for video, item in sorted(top["data"].items())}
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise CorpusError(f"cmu-mosei: cannot read {path}: {error}") from None


def _rows(item: Any, names: list[str]) -> list[Row]:
    rows = []
    for (start, end), values in zip(item["intervals"][:], item["features"][:], strict=True):
        record = {name: float(v) for name, v in zip(names, values, strict=True) if math.isfinite(v)}
        rows.append((float(start), float(end), record))
    return rows


def _transcripts(path: Path) -> dict[tuple[float, float], str]:
    """Texts by (start, end); lines that are not ``video___clip___start___end___text`` are left out."""
    found: dict[tuple[float, float], str] = {}
    for line in read_lines(path, WESTERN) if path.is_file() else []:
        # The text may hold underscores itself.
        fields = line.strip().split("___", maxsplit=4)
        try:
            found[round(float(fields[2]), 2), round(float(fields[3]), 2)] = fields[4]
        except (ValueError, IndexError):
            continue
    return found


example = _tables.cmu_mosei
