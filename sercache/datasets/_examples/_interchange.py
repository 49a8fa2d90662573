"""Trees of corpora as other tools describe them: every format says the same of the same recordings."""

from __future__ import annotations

import gzip
import json
from itertools import product
from pathlib import Path
from typing import Any

from sercache.datasets._examples._tools import write_text, write_wav

_SECONDS, _RATE = 0.5, 16_000
_LABELS = ("happy", "sad", "neutral")


def _recordings(root: Path) -> list[tuple[str, Path, str, str]]:
    """Key, path, speaker and label of twelve recordings."""
    return [
        (f"{speaker}-{label}", write_wav(root / "wav" / f"{speaker} {label}.wav", _SECONDS, _RATE), speaker, label)
        for speaker, label in product("abcd", _LABELS)
    ]  # fmt: skip


def _json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def emobox(root: Path) -> Path:
    """A list below ``data`` with two folds and a label map; recordings below ``downloads``."""
    folder = root / "data" / "toy"
    rows: list[dict[str, Any]] = [
        {
            "key": key, "dataset": "toy", "wav": path.relative_to(root).as_posix(), "type": "raw",
            "sample_rate": _RATE, "num_frame": float(_SECONDS * _RATE), "task": "category", "length": _SECONDS,
            "emo": label, "channel": 1, "spk": speaker,
        }
        for key, path, speaker, label in _recordings(root / "downloads" / "toy")
    ]  # fmt: skip
    _json_lines(folder / "toy.jsonl", rows)
    for number, speakers in ((1, "ab"), (2, "cd")):
        for part, test in (("test", True), ("train", False)):
            chosen = [row for row in rows if (row["spk"] in speakers) is test]
            _json_lines(folder / f"fold_{number}" / f"toy_{part}_fold_{number}.jsonl", chosen)
    write_text(folder / "label_map.json", '{"happy": "Happy", "sad": "Sad", "neutral": "Neutral"}')
    return folder


def lhotse(root: Path) -> Path:
    """A pair of manifests in gzip; one recording is cut into two supervisions."""
    found = _recordings(root)
    recordings = [
        {
            "id": key, "sources": [{"type": "file", "channels": [0], "source": path.relative_to(root).as_posix()}],
            "sampling_rate": _RATE, "num_samples": round(_SECONDS * _RATE), "duration": _SECONDS,
        }
        for key, path, _, _ in found
    ]  # fmt: skip
    supervisions = []
    for number, (key, _, speaker, label) in enumerate(found):
        pieces = ((0.0, 0.2), (0.2, 0.3)) if number == 0 else ((0.0, _SECONDS),)
        for k, (start, duration) in enumerate(pieces):
            supervisions.append(
                {
                    "id": f"{key}-{k}", "recording_id": key, "start": start, "duration": duration, "channel": 0,
                    "text": "Well, yes", "language": "en", "speaker": speaker, "gender": "female",
                    "custom": {"emotion": label},
                }
            )  # fmt: skip
    _json_lines(root / "recordings.jsonl.gz", recordings)
    _json_lines(root / "supervisions.jsonl.gz", supervisions)
    return root


def kaldi(root: Path) -> Path:
    """One data folder with a recording that is cut in two."""
    found = _recordings(root)
    lines: dict[str, list[str]] = {name: [] for name in ("wav.scp", "segments", "utt2spk", "text", "utt2emo")}
    for number, (key, path, speaker, label) in enumerate(found):
        lines["wav.scp"].append(f"{key} {path.relative_to(root).as_posix()}")
        pieces = (("0.00", "0.20"), ("0.20", "0.50")) if number == 0 else (("0.00", "-1"),)
        for k, (start, end) in enumerate(pieces):
            lines["segments"].append(f"{key}-{k} {key} {start} {end}")
            lines["utt2spk"].append(f"{key}-{k} {speaker}")
            lines["text"].append(f"{key}-{k} WELL YES")
            lines["utt2emo"].append(f"{key}-{k} {label}")
    lines["spk2gender"] = [f"{speaker} f" for speaker in "abcd"]
    for name, content in lines.items():
        write_text(root / name, "".join(f"{line}\n" for line in sorted(content)))
    return root


def speechbrain(root: Path) -> Path:
    """Three tables, with a placeholder before paths and one utterance that is a stretch of samples."""
    found = _recordings(root)
    parts = {"train": "ab", "valid": "c", "test": "d"}
    for part, speakers in parts.items():
        rows = ["ID, duration, wav, start, stop, emo, spk_id"]
        for key, path, speaker, label in found:
            if speaker in speakers:
                stop = 4_000 if key == "a-happy" else round(_SECONDS * _RATE)
                wav = f"$data_folder/{path.relative_to(root).as_posix()}"
                rows.append(f"{key}, {_SECONDS}, {wav}, 0, {stop}, {label}, {speaker}")
        write_text(root / f"{part}.csv", "\n".join(rows) + "\n")
    return root


def webdataset(root: Path) -> Path:
    """Two tars, one with JSON beside its recordings and one with texts."""
    import io
    import tarfile

    found = _recordings(root / "unpacked")
    for part, speakers in (("train", "abc"), ("test", "d")):
        with tarfile.open(root / f"toy-{part}-000000.tar", "w") as tar:
            for number, (key, path, speaker, label) in enumerate(found):
                if speaker not in speakers:
                    continue
                files = {"wav": path.read_bytes()}
                if part == "train":
                    about = {"id": key, "label": label, "speaker": speaker}
                    files["json"] = json.dumps(about).encode()
                else:
                    files |= {"cls": label.encode(), "spk": speaker.encode()}
                for kind, data in files.items():
                    member = tarfile.TarInfo(f"{number:06d}.{kind}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    for _, path, _, _ in found:
        path.unlink()
    return root


def huggingface(root: Path) -> Path:
    """Two Parquet files as ``datasets`` writes them, labels as numbers of classes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = _recordings(root / "unpacked")
    classes = sorted(_LABELS)
    features = {
        "audio": {"_type": "Audio"},
        "label": {"names": classes, "_type": "ClassLabel"},
        "speaker": {"dtype": "string", "_type": "Value"},
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for part, speakers in (("train", "abc"), ("test", "d")):
        rows = [row for row in found if row[2] in speakers]
        columns = {
            "audio": pa.array(
                [{"bytes": path.read_bytes(), "path": path.name} for _, path, _, _ in rows], kind
            ),
            "label": pa.array([classes.index(label) for _, _, _, label in rows], pa.int64()),
            "speaker": pa.array([speaker for _, _, speaker, _ in rows], pa.string()),
        }
        table = pa.table(columns).replace_schema_metadata(metadata)
        (root / "data").mkdir(parents=True, exist_ok=True)
        pq.write_table(table, root / "data" / f"{part}-00000-of-00001.parquet", row_group_size=4)
    for _, path, _, _ in found:
        path.unlink()
    return root
