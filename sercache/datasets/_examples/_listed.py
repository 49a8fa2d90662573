"""Trees of corpora whose recordings are named by rule or by a table of their owners, in their layouts."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

from sercache.datasets._examples._tools import flat, touch, write_text, write_wav


def polish(root: Path) -> Path:
    """Three men, every word and emotion once."""
    words = ("nie", "oddaj", "podaj", "stop", "tak", "trzymaj")
    stems = [f"{who}.{e}_{word}_2" for who, e, word in product(("m1", "m2", "m5"), "ans", words)]
    flat(root, stems, rate=44_100)
    return root


def asvp_esd(root: Path) -> Path:
    """Folders by actor, speech and other sounds; a name with a blank, one that is short, one of another actor."""
    for emotion, (channel, actor) in product(range(1, 14), (("01", "01"), ("02", "14"))):
        stem = f"03-{channel}-{emotion:02d}-01-01-{actor}-02-02-0{1 + emotion % 2}-{emotion:02d}"
        write_wav(root / "Audio" / f"actor_{int(actor)}" / f"{stem}.wav")
    write_wav(root / "Bonus" / "actor_150" / "03-02-04-01-52-150-04-01-00-14 -03.wav")
    write_wav(root / "Audio" / "actor_" / "03-01-02-01-07-102-02-02.wav")
    write_wav(root / "Audio" / "actor_112" / "03-01-05-02-01-98-02-01-04.wav")
    touch(root / "Audio" / "actor_1" / ".DS_Store")
    return root


def mer2023(root: Path) -> Path:
    """Films, the sound made of each beside it, and the tables of the parts; one film has no label."""
    emotions = ("angry", "happy", "neutral", "sad", "surprise", "worried")
    parts = {
        "mer2023train/train-label.csv": ("mer2023train/train", "sample_", 24),
        "test-labels/test1-label.csv": ("test1", "sample_", 12),
        "test-labels/test2-label.csv": ("test2", "sample_", 6),
        "test-labels/test3-label.csv": ("mer2023train/test3", "samplenew_", 6),
    }
    number = 0
    for table, (folder, begin, count) in parts.items():
        rows = ["name,discrete,valence"]
        for k in range(count):
            path = write_wav(root / folder / f"{begin}{number:08d}.wav")
            touch(path.with_suffix(".avi"), b"RIFF")
            rows.append(f"{path.stem},{emotions[k % 6]},0.5")
            number += 1
        write_text(root / table, "\n".join(rows) + "\n")
    write_wav(root / "mer2023train" / "test3" / "samplenew_00099999.wav")
    return root


def m3ed(root: Path) -> Path:
    """Two dialogues of each of three series, one series a part; a role is A in one dialogue and B in the next."""
    emotions = ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
    annotation: dict[str, dict[str, object]] = {}
    for part, movie in (("train", "shaonianpai"), ("val", "bianchengnidenayitian"), ("test", "woju")):
        write_text(root / "splitInfo" / f"movie_list_{part}.txt", f"{movie}\n")
        for scene, (one, two) in enumerate((("王胜男", "林大为"), ("林大为", "王胜男")), 1):
            dialogue: dict[str, object] = {}
            for turn, emotion in enumerate(emotions, 1):
                speaker = "AB"[turn % 2]
                name = f"{movie}_{scene}_{turn}"
                write_wav(root / "modality_speech" / f"{speaker}_{name}.wav")
                votes = {"EmoAnnotator1": emotion, "EmoAnnotator2": emotion, "EmoAnnotator3": "Neutral"}
                dialogue[name] = {
                    "StartTime": "00:00:01", "Text": f"你好 {turn}", "Speaker": speaker,
                    "EmoAnnotation": {**votes, "final_mul_emo": emotion, "final_main_emo": emotion},
                }  # fmt: skip
            annotation.setdefault(movie, {})[f"{movie}_{scene}"] = {
                "SpeakerInfo": {"A": {"Name": one}, "B": {"Name": two}},
                "Dialog": dialogue,
            }
    write_text(root / "annotation.json", json.dumps(annotation, ensure_ascii=False, indent=1))
    return root


def thorsten_emotional(root: Path) -> Path:
    """Folders by style, in which the same texts have the same names; one text is not whispered."""
    styles = ("amused", "angry", "disgusted", "drunk", "neutral", "sleepy", "surprised", "whisper")
    texts = [f"{number:032x}" for number in (0xF64B86E0, 0x106D5A7B, 0x91672C17, 7, 8)]
    for style in styles:
        flat(
            root / "thorsten-emotional_v02" / style, texts if style != "whisper" else texts[:-1], rate=22_050
        )
    return root


def demos(root: Path) -> Path:
    """Elicited speech and neutral one in folders of their own; prototypical samples among it."""
    emotions = ("col", "dis", "gio", "pau", "rab", "sor", "tri")
    for begin, who, emotion in product(("NP", "PR"), ("f_61", "m_02", "m_23"), emotions):
        write_wav(root / "DEMOS" / f"{begin}_{who}_{emotion}0{1 + (begin == 'PR')}b.wav", rate=48_000)
    for who in ("f_61", "m_02", "m_23"):
        write_wav(root / "NEU" / f"{who}_neu05b.wav", rate=48_000)
    return root


def banglaser(root: Path) -> Path:
    """Folders by actor; names like those of RAVDESS, with codes of their own."""
    for actor, emotion, text in product((1, 2, 33), range(1, 6), (1, 3)):
        stem = f"03-01-{emotion:02d}-01-{text:02d}-02-{actor:02d}"
        write_wav(root / "BanglaSER" / f"Actor_{actor:02d}" / f"{stem}.wav")
    return root


def emota(root: Path) -> Path:
    """Folders by emotion; numbers of speakers and sentences without zeros."""
    for emotion, who, text in product(("angry", "fear", "happy", "neutral", "sad"), (1, 2, 22), (1, 18)):
        write_wav(root / "EmoTa" / emotion / f"{who}_{text}_{emotion[:3]}.wav")
    return root


def indowave(root: Path) -> Path:
    """Every emotion in both intensities by three actors."""
    names = product((1, 2, 10), range(1, 6), (1, 2), (1, 3))
    flat(root, [f"{actor:02d}-{emotion:02d}-{level:02d}-{take:02d}" for actor, emotion, level, take in names])
    return root


def dusha(root: Path) -> Path:
    """Two parts, one with lines of JSON and one with a table; a tie, a recording to check annotators, none judged."""
    answers = {
        "angry": ("angry", "angry", "other"), "neutral": ("neutral",) * 3, "positive": ("positive",),
        "sad": ("sad", "sad"), "tie": ("sad", "neutral"), "golden": ("angry",) * 3,
    }  # fmt: skip
    columns = (
        "hash_id", "audio_path", "duration", "annotator_emo", "golden_emo", "speaker_text", "speaker_emo", "source_id",
        "annotator_id",
    )  # fmt: skip
    for part in ("train", "test"):
        folder = root / f"crowd_{part}"
        rows = []
        for number, (kind, said) in enumerate(answers.items()):
            name = f"{number + (part == 'test') * 16:032x}"
            write_wav(folder / "wavs" / f"{name}.wav")
            golden = "angry" if kind == "golden" else ""
            for who, emotion in enumerate(said):
                path = f"wavs/{name}.wav"
                cells = (name, path, "0.3", emotion, golden, "привет", kind, f"{part}{number % 2}", f"a{who}")
                rows.append(dict(zip(columns, cells, strict=True)))
        write_wav(folder / "wavs" / f"{255:032x}.wav")
        table = folder / f"raw_crowd_{part}"
        if part == "train":
            lines = [json.dumps(row, ensure_ascii=False) for row in rows]
            write_text(table.with_suffix(".jsonl"), "\n".join(lines) + "\n")
        else:
            lines = ["\t".join(columns), *("\t".join(row.values()) for row in rows)]
            write_text(table.with_suffix(".tsv"), "\n".join(lines) + "\n")
    return root
