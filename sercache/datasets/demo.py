"""A small synthetic corpus, made at first use: ten espeak-ng voices, four emotions, five languages."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from sercache import files
from sercache.datasets import manifest
from sercache.datasets._corpus import Corpus
from sercache.datasets._demo_script import EMOTIONS, SPEAKERS, Line, script
from sercache.datasets._examples import _tables, _tools
from sercache.datasets._records import CorpusInfo, Subset, Utterance
from sercache.errors import CorpusError, MissingExtraError

_TABLE, _DIGESTS = "manifest.csv", "digests.json"
_RATE = 16_000
"""Hz."""
_NOISE = 3e-4
"""Standard deviation of the noise added to every recording (-70 dB): no recording is digital silence."""
_LABELS = {emotion: emotion for emotion in EMOTIONS}


def _english(utterance: Utterance) -> bool:
    return utterance.language == "en"


INFO = CorpusInfo(
    title="Demo: synthetic speech with four emotions as prosody",
    language="en, de, es, el, zh",
    n_speakers=len(SPEAKERS),
    hours=0.3,
    licence="free of rights; made on your machine by espeak-ng (GPL-3, called as a program)",
    licence_id="CC0-1.0",
    access="made at first use; needs: pip install 'sercache[demo]'",
    tree="<root>/manifest.csv, digests.json, wav/D01F_en1_anger.wav ... (made when <root> is empty)",
    tasks={"4class": _LABELS},
    default_task="4class",
    expected_counts=dict.fromkeys(EMOTIONS, 100),
    subsets={"english": Subset("the English utterances", _english)},
    notes=(
        "Synthetic: good for trying the tool, worthless as evidence about emotion.",
        "Every sentence is spoken in all four emotions; sessions D01 to D05 hold two speakers each.",
        "Speech differs between versions of espeak-ng: the release carries a digest of what was made.",
    ),
    generated=True,
)


def read(root: Path) -> Corpus:
    """The demo corpus in ``root``, made there first where ``root`` is empty or does not exist (seconds).

    Raises MissingExtraError without espeak-ng, CorpusError where ``root`` holds other files or files
    that differ from those that were made.
    """
    if not (root / _DIGESTS).is_file():
        try:
            _generate(root)
        except OSError as error:
            raise CorpusError(f"demo: cannot write to {root}: {error.strerror or error}") from None
    release = _verify(root)
    table = manifest.read(root / _TABLE)
    return dataclasses.replace(
        table, name="demo", release=release, root=root, info=INFO, reader="", table=None
    )


def _verify(root: Path) -> str:
    """Compares every file with its recorded digest and returns the release.

    Raises CorpusError naming the first file that differs or is missing.
    """
    remedy = f"delete {root} to have it made again"
    try:
        record = json.loads((root / _DIGESTS).read_bytes())
        digests: dict[str, str] = dict(record["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"demo: cannot read {root / _DIGESTS} ({type(error).__name__}); {remedy}") from None
    bad = sorted(name for name, digest in digests.items() if _digest(root / name) != digest)
    if bad or _TABLE not in digests:
        first = bad[0] if bad else _TABLE
        raise CorpusError(
            f"demo: {len(bad)} files differ from those that were made, first: {first}; {remedy}"
        )
    return f"1-{_blake3(json.dumps(digests, sort_keys=True).encode())[:12]}"


def _blake3(data: bytes) -> str:
    from blake3 import blake3

    return str(blake3(data).hexdigest())


def _digest(path: Path) -> str:
    """blake3 of a file; empty where it cannot be read."""
    try:
        return _blake3(path.read_bytes())
    except OSError:
        return ""


def _generate(root: Path) -> None:
    """Makes the corpus beside ``root`` and renames it to ``root`` when it is complete."""
    if importlib.util.find_spec("espeakng_loader") is None:
        raise MissingExtraError("the demo corpus is spoken by espeak-ng: pip install 'sercache[demo]'")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise CorpusError(f"demo: {root} holds other files; name an empty or a new folder")
    # Another process may have finished first: its corpus is as good.
    with files.new_folder(root, first_wins=True) as work:
        _fill(work)


def _fill(folder: Path) -> None:
    """Speaks the script into ``folder``: wav/, the table, the digests."""
    import numpy as np
    import soxr

    lines = list(script())
    (folder / "wav").mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        told = _speak(lines, Path(scratch))
        noise = np.random.default_rng(0)
        for line in lines:
            spoken = np.frombuffer((Path(scratch) / line.id).read_bytes(), dtype="<i2")
            if not spoken.size:
                raise CorpusError(f"demo: espeak-ng said nothing for {line.id} (voice {line.voice})")
            wave = soxr.resample(spoken.astype(np.float32) / 32768, told["sample_rate"], _RATE)
            wave = wave + noise.normal(0.0, _NOISE, len(wave))
            _tools.write_pcm(folder / "wav" / f"{line.id}.wav", np.clip(wave, -1, 1), _RATE)
    _write_table(folder / _TABLE, lines)
    names = [_TABLE, *(f"wav/{line.id}.wav" for line in lines)]
    record = {"espeak_ng": told["version"], "files": {name: _digest(folder / name) for name in sorted(names)}}
    files.write_json(folder / _DIGESTS, record)


def _speak(lines: list[Line], folder: Path) -> dict[str, int]:
    """Has all lines spoken by one fresh process; raw samples come to ``folder``."""
    jobs = [
        {
            "voice": line.voice,
            "rate": line.rate,
            "pitch": line.pitch,
            "range": line.range,
            "volume": line.volume,
            "text": line.text,
            "file": str(folder / line.id),
        }
        for line in lines
    ]
    worker = subprocess.run(
        # -P: the folder of the program must not become a place to import from.
        [sys.executable, "-P", str(Path(__file__).with_name("_espeak_worker.py"))],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if worker.returncode != 0:
        last = (worker.stderr.strip() or "no message").splitlines()[-1]
        raise CorpusError(f"demo: espeak-ng stopped with code {worker.returncode}: {last}")
    return dict(json.loads(worker.stdout))


def _write_table(path: Path, lines: list[Line]) -> None:
    """The manifest of the corpus, readable as ``--dataset manifest`` too."""
    header = ["id", "path", "label", "speaker", "group", "transcript", "language", "sex", "sentence"]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        for line in lines:
            who, file = line.speaker, f"wav/{line.id}.wav"
            row = [line.id, file, line.emotion, who.name, who.session, line.text, line.language, who.sex]
            writer.writerow([*row, line.sentence])


example = _tables.demo
