"""IEMOCAP (Busso et al., Language Resources and Evaluation 2008): ten actors in five dyadic sessions."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets import _iemocap_text as text
from sercache.datasets._check import assemble
from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _iemocap
from sercache.datasets._files import child, entries, find_root, shown
from sercache.datasets._records import CorpusInfo, PublishedList, Skipped, Subset, Utterance
from sercache.errors import CorpusError

_NATIVE = {
    "ang": "anger",
    "dis": "disgust",
    "exc": "excitement",
    "fea": "fear",
    "fru": "frustration",
    "hap": "happiness",
    "neu": "neutral",
    "oth": "other",
    "sad": "sadness",
    "sur": "surprise",
}
_COUNTS = {
    "ang": 1103, "dis": 2, "exc": 1041, "fea": 40, "fru": 1849, "hap": 595,
    "neu": 1708, "oth": 3, "sad": 1084, "sur": 107, "xxx": 2507,
}  # fmt: skip
_NO_EXC = {code: _NATIVE[code] for code in ("ang", "hap", "neu", "sad")}
_FOUR = {**_NO_EXC, "exc": "happiness"}
_FIVE = {**_NO_EXC, "exc": "excitement"}
_SPELLING = {"anger": "ang", "happiness": "hap", "neutral": "neu", "sadness": "sad"}
_SPEAKERS = {
    "Ses01F": 873, "Ses01M": 946, "Ses02F": 859, "Ses02M": 952, "Ses03F": 1048,
    "Ses03M": 1088, "Ses04F": 987, "Ses04M": 1116, "Ses05F": 1033, "Ses05M": 1137,
}  # fmt: skip
LISTENERS = ("C-E",)
"""Raters of categories from outside; C-F and C-M are the actors themselves."""


def _improvised(utterance: Utterance) -> bool:
    return "_impro" in utterance.id


def _scripted(utterance: Utterance) -> bool:
    return "_script" in utterance.id


def _full_agreement(utterance: Utterance) -> bool:
    """Three external raters, one category each, all the same."""
    said = [r.labels for r in utterance.ratings if r.rater.startswith("C-E")]
    return len(said) == 3 and len(said[0]) == 1 and len(set(said)) == 1


def _aligned(utterance: Utterance) -> bool:
    """Whether the release's forced alignment of the turn holds a word."""
    session = utterance.path.parents[2]
    words = child(session, "ForcedAlignment", utterance.path.parent.name, f"{utterance.id}.wdseg")
    return words is not None and text.has_words(words)


def _list(task: str, sizes: tuple[int, ...], sha256: str) -> PublishedList:
    """A published setup: utterances by session, digest of its ``id<TAB>label`` lines."""
    groups = {f"Ses{k:02d}": n for k, n in enumerate(sizes, start=1)}
    return PublishedList(sum(sizes), task, {"group": groups}, sha256_labels=sha256, spelling=_SPELLING)


INFO = CorpusInfo(
    title="Interactive Emotional Dyadic Motion Capture Database (IEMOCAP)",
    language="en",
    n_speakers=10,
    hours=12.4,
    licence="signed release form of USC SAIL; research only, no redistribution",
    licence_id="LicenseRef-IEMOCAP",
    restricted=True,
    access="https://sail.usc.edu/iemocap/",
    tree=(
        "<root>/[IEMOCAP_full_release/]Session1..5/\n"
        "  dialog/EmoEvaluation/Ses01F_impro01.txt\n"
        "  dialog/transcriptions/Ses01F_impro01.txt\n"
        "  sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav\n"
        "  sentences/ForcedAlignment/Ses01F_impro01/Ses01F_impro01_F000.wdseg (for @aligned)"
    ),
    tasks={
        "4class": _FOUR,
        "4class-no-exc": _NO_EXC,
        "5class": _FIVE,
        "6class": {**_FIVE, "fru": "frustration"},
        "10class": _NATIVE,
    },
    default_task="4class",
    default_protocol="leave-one-session-out",
    expected_counts=_COUNTS,
    notes=(
        "4class merges excited into happiness (5531 turns); 4class-no-exc drops it (4490).",
        "Ses03M_impro05a and the like: the letter names who wears the markers, not who talks.",
        "The texts of scripted scenes are shared by all sessions.",
        "SUPERB: leave-one-session-out with --dev superb20; its own dev part needs its list order, "
        "--dev superb20:<folder meta_data of s3prl's downstream/emotion>.",
        "EMO-SUPERB: leave-one-session-out with --dev next. Pepino et al. after Issa: --dev drawn. "
        "EmoBox: --dev random20. Ten speakers: leave-one-speaker-out with --dev other-speaker.",
        "Published counts of oth and dis are not confirmed.",
    ),
    subsets={
        "improvised": Subset("improvised scenes", _improvised),
        "scripted": Subset("scripted scenes", _scripted),
        "full-agreement": Subset("three external raters, one category each, all equal", _full_agreement),
        "aligned": Subset("turns whose forced alignment holds a word (Pepino et al.)", _aligned),
    },
    setups={
        "4class-5531": "4class",
        "4class-4490": "4class-no-exc",
        "4class-2943": "4class@improvised",
        "4class-2280": "4class-no-exc@improvised",
        "4class-5473": "4class@aligned",
        "4class-861": "4class@improvised@full-agreement@aligned",
    },
    published=(
        PublishedList(
            rows=10039,
            counts={"raw_label": _COUNTS, "speaker": _SPEAKERS},
            sha256_ids="cc2d0fd090a6603d9b25ae60ebb85268851281340d46735aad0b6373da31ef87",
        ),
        _list(
            "4class",
            (1085, 1023, 1151, 1031, 1241),
            "95532f4b2cc500676531d786b6fb838197dedfa864cfd35199c48ec89b6eb01a",
        ),
        _list(
            "4class-no-exc",
            (942, 813, 1000, 793, 942),
            "e23ba303d0a86e6ea6953c24c9623f05b5ba89e533cd5444a02b18962842fbb4",
        ),
        _list(
            "4class@improvised",
            (521, 530, 627, 534, 731),
            "2c4bfda9001dfadd362e314acd5ffa0315863c09ff69ff64dfa226d31e241b09",
        ),
        _list(
            "4class-no-exc@improvised",
            (422, 393, 538, 370, 557),
            "3d5f2da9c3e6fb0a3db849c74dc1d63ea1b785cf465d758b65eaff0d4c08b1bd",
        ),
        _list(
            "4class@aligned",
            (1059, 1016, 1148, 1025, 1225),
            "ea8e23532d0a1785b85e282abb7b0e3fd293cd7927d3ac3cb62bf330de2e34f3",
        ),
        _list(
            "4class@improvised@full-agreement@aligned",
            (155, 191, 208, 120, 187),
            "28921367b40bbe73bd48cee271f1a2dac9e399552c8da9ebafb21c9df4e9e7c8",
        ),
    ),
    attribute_range=(1.0, 5.0),
    shares="share of the external raters per category; a rater of several is divided equally",
)


def read(root: Path) -> Corpus:
    """All labelled turns of the sessions below ``root``; turns without a recording are skipped.

    ``root`` may be the release folder or up to two folders above it. Raises CorpusError otherwise.
    """
    release = find_root(
        root, "iemocap", "folders Session1..5 with dialog/EmoEvaluation in them", lambda p: bool(_sessions(p))
    )
    utterances: list[Utterance] = []
    skipped: list[Skipped] = []
    for session in _sessions(release):
        found, left_out = _read_session(session, release)
        utterances += found
        skipped += left_out
    return assemble("iemocap", release, INFO, utterances, skipped, release="full")


def _sessions(folder: Path) -> list[Path]:
    """The session folders of a release, with their labels in place."""
    named = [p for p in entries(folder) if re.fullmatch(r"session[1-5]", p.name, re.IGNORECASE)]
    # An archive of one session may have been unpacked into a folder of its name.
    inner = [p / p.name if child(p, "dialog") is None and (p / p.name).is_dir() else p for p in named]
    return [p for p in inner if child(p, "dialog", "EmoEvaluation") is not None]


def _read_session(session: Path, root: Path) -> tuple[list[Utterance], list[Skipped]]:
    """Utterances of one session folder and what was left out of it."""
    number = session.name[-1]
    folder = child(session, "dialog", "EmoEvaluation")
    assert folder is not None
    recordings = _recordings(session)
    turns: dict[str, text.LabelBlock] = {}
    skipped: list[Skipped] = []
    # Sub-folders hold single raters and further .txt files: only the files of this folder are read.
    for path in _texts(folder):
        found, left_out = text.read_turns(path, number)
        skipped += [Skipped(f"{shown(path, root)}: {what}", why) for what, why in left_out]
        turns.update(found)
    transcripts = _transcripts(session)
    skipped += [
        Skipped(i, "no recording under sentences/wav") for i in sorted(turns) if i not in recordings
    ] + [
        Skipped(shown(p, root), "no label in dialog/EmoEvaluation")
        for i, p in recordings.items()
        if i not in turns
    ]
    utterances = [
        _utterance(turn, recordings[turn.id], transcripts.get(turn.id))
        for turn in turns.values()
        if turn.id in recordings
    ]
    return utterances, skipped


def _utterance(turn: text.LabelBlock, path: Path, transcript: str | None) -> Utterance:
    # The last letter before the number is the talker; the one after SesNN only wears the markers.
    sex = turn.id[-4]
    session = turn.id[:5]
    return Utterance(
        id=turn.id,
        path=path,
        raw_label=turn.label,
        speaker=session + sex,
        group=session,
        transcript=transcript,
        language="en",
        sex=sex,
        soft_label=turn.shares(),
        attributes=turn.attributes,
        ratings=turn.ratings,
    )


def _recordings(session: Path) -> dict[str, Path]:
    """Segmented recordings of a session by id."""
    folder = child(session, "sentences", "wav")
    if folder is None:
        raise CorpusError(
            f"iemocap: {session} has no sentences/wav; the segmented recordings are needed, unpack the whole release"
        )
    return {
        path.stem: path
        for dialogue in entries(folder)
        for path in entries(dialogue)
        if path.suffix.lower() == ".wav"
    }


def _transcripts(session: Path) -> dict[str, str]:
    """Transcripts of a session by id; empty where the copy has none."""
    folder = child(session, "dialog", "transcriptions")
    found: dict[str, str] = {}
    for path in _texts(folder) if folder else []:
        found |= text.read_transcripts(path)
    return found


def _texts(folder: Path) -> list[Path]:
    return [p for p in entries(folder) if p.suffix.lower() == ".txt" and p.is_file()]


example = _iemocap.iemocap
