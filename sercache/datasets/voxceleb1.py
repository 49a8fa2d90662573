"""VoxCeleb1 (Nagrani et al., Interspeech 2017): 1251 speakers, the identification split."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._check import assemble
from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _tables
from sercache.datasets._files import find_root, walk
from sercache.datasets._records import CorpusInfo, PublishedList, Skipped, Utterance
from sercache.datasets._text import read_lines

_SPEAKERS = {f"id{n}": f"id{n}" for n in range(10001, 11252)}
_LISTS = ("iden_split.txt", "veri_test_class.txt")
_PARTS = {"1": "train", "2": "dev", "3": "test"}
_LINE = re.compile(r"(?P<part>[123])\s+(?P<path>(?P<speaker>id1\d{4})/[^/\s]+/[^/\s]+)\.wav")

INFO = CorpusInfo(
    title="VoxCeleb1, speaker identification",
    language="mostly en",
    n_speakers=1251,
    hours=352.0,
    licence="labels CC BY 4.0; the sound belongs to its uploaders, no redistribution",
    licence_id="LicenseRef-VoxCeleb-audio",
    restricted=True,
    access="https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox1.html",
    tree=(
        "<root>/iden_split.txt (or s3prl's name for it, veri_test_class.txt)\n"
        "<root>/[dev/]wav/id10001/1zcIwhmdeo4/00001.wav ..., <root>/[test/]wav/...\n"
        "<root>/vox1_meta.csv (optional: sex)"
    ),
    tasks={"speaker": _SPEAKERS},
    default_task="speaker",
    default_protocol="fixed:official",
    official="the identification split of iden_split.txt: all speakers in every part",
    notes=(
        "No emotion labels: it trains speaker encoders. The three parts hold the same speakers.",
        "Use fixed:official.",
    ),
    published=(
        PublishedList(rows=153516, counts={"partition": {"train": 138361, "dev": 6904, "test": 8251}}),
    ),
)


def read(root: Path) -> Corpus:
    """The utterances of the identification split whose recordings are below ``root``.

    Raises CorpusError where the list or all recordings are missing.
    """
    wanted = f"the list {_LISTS[0]} beside the folders dev/ and test/ or wav/"
    folder = find_root(root, "voxceleb1", wanted, lambda p: any((p / name).is_file() for name in _LISTS))
    listing = next(folder / name for name in _LISTS if (folder / name).is_file())
    sexes = _sexes(folder / "vox1_meta.csv")
    recordings = {"/".join((*p.parts[-3:-1], p.stem)): p for p in walk(root)}
    utterances: list[Utterance] = []
    skipped: list[Skipped] = []
    for number, line in enumerate(read_lines(listing), start=1):
        match = _LINE.fullmatch(line.strip())
        where = f"{listing.name}: line {number}"
        if match is None or match["speaker"] not in _SPEAKERS:
            if line.strip():
                skipped.append(Skipped(where, "not a line of the identification split"))
        elif match["path"] not in recordings:
            skipped.append(Skipped(where, f"no recording {match['path']}.wav"))
        else:
            utterances.append(_utterance(match, recordings[match["path"]], sexes))
    return assemble("voxceleb1", folder, INFO, utterances, skipped, release="1.0")


def _utterance(match: re.Match[str], path: Path, sexes: dict[str, str]) -> Utterance:
    return Utterance(
        id=match["path"],
        path=path,
        raw_label=match["speaker"],
        speaker=match["speaker"],
        group=match["path"].rpartition("/")[0],
        partition=_PARTS[match["part"]],
        sex=sexes.get(match["speaker"], ""),
    )


def _sexes(path: Path) -> dict[str, str]:
    """Sex by speaker from ``vox1_meta.csv`` (separated by tabs); empty where there is no such file."""
    if not path.is_file():
        return {}
    rows = (line.split("\t") for line in read_lines(path))
    return {row[0]: row[2].upper() for row in rows if len(row) > 2 and row[2] in ("m", "f")}


example = _tables.voxceleb1
