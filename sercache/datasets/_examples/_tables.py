"""Trees of corpora whose labels lie in tables and texts."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

from sercache.datasets._examples._tools import APPLE_DOUBLE, touch, write_text, write_wav


def manifest(root: Path) -> Path:
    """A table with a byte order mark, an unused column and transcripts that hold the separator."""
    rows = ["id,path,label,speaker,group,transcript,language,colour"]
    for speaker, label in product("abcd", ("Happy", "sad", "neutral")):
        path = write_wav(root / "audio" / speaker / f"{label}.wav")
        rows.append(
            f"{speaker}-{label},{path.relative_to(root).as_posix()},{label},{speaker},s{'ab'.find(speaker) >= 0:d},"
            f'"Well, yes",en,red'
        )
    write_text(root / "manifest.csv", "\ufeff" + "\r\n".join(rows) + "\r\n")
    return root


def demo(root: Path) -> Path:
    """The demo corpus itself is made by its reader."""
    return root / "demo"


MSP_IMPROV_CLIPS = {
    "S01A-F01-P-FM01": "A", "S01A-M01-S-FM02": "H", "S02H-F02-R-FF01": "S", "S02H-M02-T-MF01": "N",
    "S03N-F03-P-MF05": "O", "S04S-M06-S-FM11": "X", "S20S-F05-T-FM01": "A",
}  # fmt: skip


def msp_improv_block(clip: str, label: str) -> str:
    """One block of the label file, with its odd spaces, a value that is NaN and a rater twice."""
    return (
        f"UTD-IMPROV-{clip}.avi; {label}; A:3.333333; V:2.333333; D:3.000000 ; N:3.666667;\n"
        "A3GLOA; Angry; Angry,Frustrated; A:2.000000; V:2.000000; D:4.000000; N:4.000000;\n"
        "A3GLOA; Angry; Angry,Frustrated; A:2.000000; V:2.000000; D:4.000000; N:4.000000;\n"
        "WORKER 2; Other; Other: bored; A:4.000000; V:NaN; D:1.000000; N:NaN;\n\n"
    )


def msp_improv(root: Path, audio: str = "Audio") -> Path:
    """Clips in folders by session and scenario, and the label file."""
    for clip in MSP_IMPROV_CLIPS:
        sentence, speaker, scenario, _ = clip.split("-")
        folder = root / audio / f"session{speaker[-1]}" / sentence / scenario
        write_wav(folder / f"MSP-IMPROV-{clip}.wav")
        touch(folder / f"UTD-IMPROV-{clip}.avi")
    blocks = [msp_improv_block(clip, label) for clip, label in MSP_IMPROV_CLIPS.items()]
    write_text(root / "Evalution.txt", "".join(blocks).replace("\n", "\r\n"))
    return root


MSP_PODCAST_ROWS = (
    ("0001_0008", "N", "30", "Male", "Test1"), ("0001_0019", "A", "30", "Male", "Train"),
    ("0002_0033", "H", "Unknown", "Female", "Development"), ("0002_0039_0001", "S", "7", "Female", "Train"),
    ("0003_0001", "U", "8", "Male", "Train"), ("0003_0002", "F", "8", "Male", "Train"),
    ("0004_0001", "D", "9", "Female", "Test2"), ("0004_0002", "C", "9", "Female", "Train"),
    ("0004_0003", "X", "9", "Female", "Train"), ("0004_0004", "O", "9", "Female", "Train"),
)  # fmt: skip


def msp_podcast(root: Path, table: str = "labels_consensus.csv") -> Path:
    """A release with its table of labels, or the text of later releases and its lists."""
    release = root / "MSP-PODCAST-Publish-1.11"
    csv_text = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
    blocks, parts, speakers = "", "", ""
    for name, label, speaker, sex, part in MSP_PODCAST_ROWS:
        file = f"MSP-PODCAST_{name}.wav"
        write_wav(release / "Audios" / file)
        write_text(release / "Transcripts" / f"MSP-PODCAST_{name}.txt", f"This is {name}.\n")
        csv_text += f"{file},{label},2.2,4.0,2.6,{speaker},{sex},{part}\n"
        blocks += f"{file}; {label}; A:2.200000; V:4.000000; D:2.600000;\n"
        blocks += "WORKER0000001; Neutral; Neutral,Confused; A:1.000000; V:4.000000; D:1.000000;\n\n"
        parts += f"{part}; {file}\n"
        speakers += f"{file}; {speaker}\n"
    write_text(release / "Labels" / table, csv_text if table.endswith("csv") else blocks)
    write_text(release / "Partitions.txt", parts)
    write_text(release / "Speaker_ids.txt", speakers)
    write_text(
        release / "Labels" / "labels_detailed.json",
        '{"MSP-PODCAST_0001_0008.wav": {"WORKER0000001": {"EmoClass_Major": "Other-unsure", '
        '"EmoClass_Second": "Neutral,Confused", "EmoAct": 1.0, "EmoDom": 2.0, "EmoVal": 4.0}}}',
    )
    return release


MELD_ROWS = {
    "train": ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"),
    "dev": ("neutral",),
    "test": ("joy", "neutral"),
}
MELD_FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}


def meld(root: Path, suffix: str = ".wav") -> Path:
    """Tables with CRLF, one in a Windows code page; left-overs beside the test clips."""
    header = (
        "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
    )
    for part, labels in MELD_ROWS.items():
        folder = root / part / MELD_FOLDERS[part]
        rows = [header]
        for n, label in enumerate(labels):
            write_wav(folder / f"dia0_utt{n}{suffix}")
            rows.append(
                f'{n + 1},"Oh, it’s {n}!",Joey,{label},neutral,0,{n},8,21,"00:16:16,059","00:16:21,731"'
            )
        encoding = "cp1252" if part == "test" else "utf-8"
        write_text(root / f"{part}_sent_emo.csv", "\r\n".join(rows) + "\r\n", encoding)
    touch(root / "test" / MELD_FOLDERS["test"] / "._dia0_utt0.wav", APPLE_DOUBLE)
    touch(root / "test" / MELD_FOLDERS["test"] / "final_videos_testdia0_utt0.wav")
    return root


def voxceleb1(root: Path, merged: bool = False) -> Path:
    """Both folders, or one merged ``wav``; every speaker has a line, three have recordings."""
    lines = []
    for speaker in range(10001, 11252):
        for part, n in (("1", 1), ("2", 2), ("3", 3)):
            name = f"id{speaker}/na8-QEFmj44/{n:05d}.wav"
            lines.append(f"{part} {name}")
            if speaker in (10001, 10003, 10270):
                top = "" if merged else "test" if speaker == 10270 else "dev"
                write_wav(root / top / "wav" / name)
    write_text(root / "iden_split.txt", "\n".join(lines) + "\n")
    meta = "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\nid10003\tA.R._Rahman\tm\tIndia\tdev\n"
    write_text(root / "vox1_meta.csv", meta)
    return root


def hume_prosody(root: Path) -> Path:
    """A table of means over raters beside its recordings."""
    emotions = ["Anger", "Boredom", "Calmness", "Concentration", "Determination"]
    emotions += ["Excitement", "Interest", "Sadness", "Tiredness"]
    number = 0
    for part, n in (("train", 10), ("devel", 9), ("test", 2)):
        rows = [",".join(["filename", *emotions])]
        for k in range(n):
            number += 1
            shares = ["?"] * 9 if part == "test" else ["1.0" if j == k % 9 else "0.191" for j in range(9)]
            rows.append(",".join([f"{number:05d}.wav", *shares]))
            write_wav(root / "data" / "wav" / f"{number:05d}.wav")
        write_text(root / "data" / "lab" / f"{part}.csv", "\n".join(rows) + "\n")
    return root


MOSEI_NAMES = ["sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear"]


def cmu_mosei(root: Path) -> Path:
    """Two videos; every emotion once, one segment without any, one tie, one with a start below zero."""
    import h5py
    import numpy as np

    features = np.zeros((8, 7), dtype=np.float32)
    for k in range(6):
        features[k, 0], features[k, k + 1] = k - 3, 2.0
    features[7, 1:3] = 1.0
    spans = np.array([[k - 0.5, k + 0.25] for k in range(8)])
    names = np.array([json.dumps(MOSEI_NAMES).encode()], dtype=object)
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(root / "CMU_MOSEI_Labels.csd", "w") as file:
        top = file.create_group("All Labels")
        top.create_dataset("metadata/dimension names", data=names, dtype=h5py.string_dtype())
        for video in ("-3g5yACwYnA", "0h-zjBukYpk"):
            top.create_dataset(f"data/{video}/features", data=features)
            top.create_dataset(f"data/{video}/intervals", data=spans)
            write_wav(root / "Raw" / "Audio" / "Full" / "WAV_16000" / f"{video}.wav", seconds=8.0)
            lines = [
                f"{video}___{k}___{a}___{b}___text {k}____and more" for k, (a, b) in enumerate(spans.tolist())
            ]
            folder = root / "Raw" / "Transcript" / "Segmented" / "Combined"
            write_text(folder / f"{video}.txt", "\n".join([*lines, "1 2 3", "\x00\x01"]) + "\n", "latin-1")
    return root


AUDFORMAT_YAML = """name: toy
source: none
usage: unrestricted
languages: [deu]
description: Two tables and a list of speakers.
schemes:
  emotion:
    dtype: str
    labels: [anger, happiness, neutral]
  speaker:
    dtype: int
    labels:
      3: {gender: male}
      8: {gender: female}
  transcription:
    dtype: str
    labels: {a01: Der Lappen liegt auf dem Eisschrank.}
tables:
  emotion.train.gold_standard:
    type: filewise
    columns:
      emotion: {scheme_id: emotion}
  emotion.test.gold_standard:
    type: filewise
    columns:
      emotion: {scheme_id: emotion}
  emotion.desired:
    type: filewise
    columns:
      emotion: {scheme_id: emotion}
  files:
    type: filewise
    columns:
      speaker: {scheme_id: speaker}
      transcription: {scheme_id: transcription}
"""


def audformat(root: Path) -> Path:
    """A database with a header, tables and recordings."""
    write_text(root / "db.yaml", AUDFORMAT_YAML)
    rows = {"wav/03a.wav": (3, "anger"), "wav/03b.wav": (3, "neutral"), "wav/08a.wav": (8, "happiness")}
    for file in rows:
        write_wav(root / file)
    for part, files in (("train", ["wav/03a.wav", "wav/03b.wav"]), ("test", ["wav/08a.wav"])):
        table = "file,emotion\n" + "".join(f"{file},{rows[file][1]}\n" for file in files)
        write_text(root / f"db.emotion.{part}.gold_standard.csv", table)
    # The acted emotion differs from what listeners heard; it must not count.
    write_text(
        root / "db.emotion.desired.csv", "file,emotion\n" + "".join(f"{file},anger\n" for file in rows)
    )
    speakers = "".join(f"{file},{speaker},a01\n" for file, (speaker, _) in rows.items())
    write_text(root / "db.files.csv", "file,speaker,transcription\n" + speakers)
    return root
