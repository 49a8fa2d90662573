"""A tree of IEMOCAP."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from sercache.datasets._examples._tools import APPLE_DOUBLE, touch, write_text, write_wav

IEMOCAP_DIALOGUES: dict[str, tuple[str, ...]] = {
    "impro01": ("neu", "hap", "exc", "sad", "ang", "fru", "xxx"),
    "script01_1": ("neu", "hap", "exc", "sad", "ang", "sur", "oth"),
}
_RATER_WORDS = {
    "neu": "Neutral", "hap": "Happiness", "exc": "Excited", "sad": "Sadness", "ang": "Anger",
    "fru": "Frustration", "sur": "Surprise", "oth": "Other", "xxx": "Neutral",
}  # fmt: skip


def iemocap_dialogues(session: int) -> dict[str, tuple[str, ...]]:
    """Dialogue names of a session and the labels of its turns, odd names included."""
    found: dict[str, tuple[str, ...]] = {
        f"Ses{session:02d}F_{name}": codes for name, codes in IEMOCAP_DIALOGUES.items()
    }
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
