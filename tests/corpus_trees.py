"""Small trees in the real layout of each corpus: real file names and label text, generated audio.

``TREES[name](root)`` builds one below ``root`` and returns the folder to read. Traps that real copies
hold (hidden files, nested copies, odd encodings) are part of the trees.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import soundfile

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@cache
def _noise(n_samples: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0.0, 0.05, n_samples)


def write_wav(path: Path, seconds: float = 0.3, rate: int = 16_000) -> Path:
    """A tone with noise whose pitch depends on the file name, 16-bit mono."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(round(seconds * rate)) / rate
    pitch = 100 + zlib.crc32(path.name.encode()) % 300
    wave = 0.3 * np.sin(2 * np.pi * pitch * times) + _noise(len(times))
    soundfile.write(path, wave, rate, subtype="PCM_16", format="WAV")
    return path


def write_text(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def touch(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def emodb(root: Path, letters: str = "WLEAFTN") -> Path:
    """Classic layout: all ten speakers, one sentence each, some in upper case, with left-overs."""
    for speaker, letter in product(("03", "08", "09", "10", "11", "12", "13", "14", "15", "16"), letters):
        suffix = ".WAV" if speaker == "16" else ".wav"
        write_wav(root / "wav" / f"{speaker}a01{letter}{'b' if letter == 'T' else 'a'}{suffix}")
    touch(root / "wav" / "._03a01Wa.wav", APPLE_DOUBLE)
    touch(root / "__MACOSX" / "wav" / "03a02Wa.wav", APPLE_DOUBLE)
    touch(root / ".DS_Store")
    write_text(root / "erkennung.txt", "Satz\terkannt\xa0natürlich\n03a01Wa.wav\t95,00\n", "latin-1")
    write_text(root / "lablaut" / "03a01Wxx.lablaut", "signal 0\n")
    return root


def ravdess(root: Path, speech: bool = True, song: bool = True, actors: int = 24) -> Path:
    """Speech and song merged in ``Actor_NN`` folders, and the nested second copy of the Kaggle download."""
    channels = ["01"] * speech + ["02"] * song
    for channel, actor, emotion in product(channels, range(1, actors + 1), range(1, 9)):
        if channel == "02" and (emotion > 6 or actor == 18):
            continue
        name = f"03-{channel}-{emotion:02d}-01-01-01-{actor:02d}.wav"
        write_wav(root / f"Actor_{actor:02d}" / name, rate=48_000)
        if actor <= 2:
            write_wav(root / "audio_speech_actors_01-24" / f"Actor_{actor:02d}" / name, rate=48_000)
    touch(root / "Actor_01" / "._03-01-01-01-01-01-01.wav", APPLE_DOUBLE)
    return root


IEMOCAP_DIALOGUES = {
    "impro01": ("neu", "hap", "exc", "sad", "ang", "fru", "xxx"),
    "script01_1": ("neu", "hap", "exc", "sad", "ang", "sur", "oth"),
}
_RATER_WORDS = {
    "neu": "Neutral", "hap": "Happiness", "exc": "Excited", "sad": "Sadness", "ang": "Anger",
    "fru": "Frustration", "sur": "Surprise", "oth": "Other", "xxx": "Neutral",
}  # fmt: skip


def iemocap_dialogues(session: int) -> dict[str, tuple[str, ...]]:
    """Dialogue names of a session and the labels of its turns, odd names included."""
    found = {f"Ses{session:02d}F_{name}": codes for name, codes in IEMOCAP_DIALOGUES.items()}
    if session == 3:
        found["Ses03M_impro05a"] = ("neu", "hap")
    if session == 5:
        found["Ses05M_script01_1b"] = ("sad", "ang")
    return found


def iemocap_block(turn: str, code: str, start: float = 6.2901) -> str:
    """One block of a label file, spaced as in the release."""
    word = _RATER_WORDS[code]
    third = "Anger; Sadness;" if code == "xxx" else f"{word};"
    return (
        f"[{start:.4f} - {start + 1.5:.4f}]\t{turn}\t{code}\t[2.5000, 3.5000, 1.5000]\n"
        f"C-E2:\t{word};\t()\nC-E3:\t{word};\t()\nC-E4:\t{third}\t()\nC-F1:\tNeutral; Anger;\t()\n"
        "A-E3:\tval 3; act 2; dom  2;\t()\nA-E4:\tval 2; act 3; \t()\nA-F1:\tval 3; act 2; dom  1;\t()\n\n"
    )


def iemocap(root: Path) -> Path:
    """The release below ``IEMOCAP_full_release``, two dialogues per session, both talkers in each."""
    release = root / "IEMOCAP_full_release"
    write_text(release / "README.txt", "IEMOCAP\n")
    for session in range(1, 6):
        folder = release / f"Session{session}"
        for dialogue, codes in iemocap_dialogues(session).items():
            _iemocap_dialogue(folder, dialogue, codes)
        evaluation = folder / "dialog" / "EmoEvaluation"
        odd = f"Ses{session:02d}F_impro01"
        touch(evaluation / f"._{odd}.txt", APPLE_DOUBLE)
        # Sub-folders hold files that look like label files and must not be read.
        write_text(evaluation / "Categorical" / f"{odd}_e2_cat.txt", f"{odd}_F000 :Anger; ()\n")
        write_text(evaluation / "Self-evaluation" / f"{odd}_f.txt", iemocap_block(f"{odd}_F900", "ang"))
    return release


def _iemocap_dialogue(folder: Path, dialogue: str, codes: tuple[str, ...]) -> None:
    labels = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
    transcript = ""
    for talker, (n, code) in product("FM", enumerate(codes)):
        turn = f"{dialogue}_{talker}{n:03d}"
        labels += iemocap_block(turn, code)
        transcript += f"{turn} [006.2901-008.2357]: Excuse me, number {n}. [LAUGHTER]\n"
        write_wav(folder / "sentences" / "wav" / dialogue / f"{turn}.wav")
        words = "" if n == 0 else "\t 25\t 60\t-1200\tEXCUSE(2)\n"
        write_text(
            folder / "sentences" / "ForcedAlignment" / dialogue / f"{turn}.wdseg",
            f"\t SFrm\tEFrm\t   SegAScr Word\n\t 0\t 24\t-500\t<s>\n{words}\t 61\t 80\t-10\t</s>\n"
            "Total score:\t-1710\n",
        )
    transcript += f"{dialogue}_MXX0 [010.0000-011.0000]: Who?\nM: free line\n"
    write_text(folder / "dialog" / "EmoEvaluation" / f"{dialogue}.txt", labels)
    write_text(
        folder / "dialog" / "transcriptions" / f"{dialogue}.txt",
        transcript.replace("Excuse", "Excusé"),
        "latin-1",
    )


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


TREES: dict[str, Callable[[Path], Path]] = {
    "demo": demo,
    "emodb": emodb,
    "iemocap": iemocap,
    "manifest": manifest,
    "ravdess": ravdess,
}
