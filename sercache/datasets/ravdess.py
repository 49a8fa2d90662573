"""RAVDESS (Livingstone and Russo, PLoS ONE 2018): 24 North American actors, speech and song."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _acted
from sercache.datasets._labels import canonical, four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Subset, Utterance

_EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
_STATEMENTS = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}
_ACTORS = [f"{n:02d}" for n in range(1, 25)]
_NAME = re.compile(
    r"(?P<modality>0[1-3])-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])"
    r"-(?P<statement>0[12])-0[12]-(?P<actor>0[1-9]|1\d|2[0-4])"
)
_NATIVE = {name: canonical(name) or name for name in _EMOTIONS.values()}
_SPEECH = {name: 96 if name == "neutral" else 192 for name in _EMOTIONS.values()}
_SONG = {name: 92 if name == "neutral" else 184 for name in list(_EMOTIONS.values())[:6]}
_ALL = {name: n + _SONG.get(name, 0) for name, n in _SPEECH.items()}
_SPELLING = {common: name for name, common in _NATIVE.items()}


def _is_speech(utterance: Utterance) -> bool:
    return utterance.id.startswith("03-01")


def _is_song(utterance: Utterance) -> bool:
    return utterance.id.startswith("03-02")


def _rule(channel: str) -> Iterator[str]:
    """Ids of all recordings of ``channel`` (01 speech, 02 song)."""
    emotions = list(_EMOTIONS) if channel == "01" else list(_EMOTIONS)[:6]
    for emotion, intensity, statement, repetition in product(
        emotions, ("01", "02"), ("01", "02"), ("01", "02")
    ):
        # Neutral has no strong intensity; actor 18 did not sing.
        if emotion == "01" and intensity == "02":
            continue
        for actor in _ACTORS:
            if not (channel == "02" and actor == "18"):
                yield f"03-{channel}-{emotion}-{intensity}-{statement}-{repetition}-{actor}"


def _speech_ids() -> list[str]:
    return list(_rule("01"))


def _song_ids() -> list[str]:
    return list(_rule("02"))


def _all_ids() -> list[str]:
    return _speech_ids() + _song_ids()


_WHOLE = PublishedList(
    rows=2452,
    task="8class",
    counts={"raw_label": _ALL},
    sha256_ids="8fa2ff194d5b61473f950ad1f2ab9bc5980c6afdccf4346cd24ffed6efeb58c5",
    sha256_labels="bbfa4dc130aa13e69cbff4b15aa10fabd8130bda4d895b558ff44d7ba9f01f24",
    spelling=_SPELLING,
    ids=_all_ids,
)
_SPEECH_LIST = PublishedList(
    rows=1440,
    task="8class@speech",
    counts={"raw_label": _SPEECH},
    sha256_labels="a621c1693fb5a9f6243bab2fbab99004feb2092cfdfe85422c9c3c3a232f6417",
    spelling=_SPELLING,
    ids=_speech_ids,
)
_SONG_LIST = PublishedList(
    rows=1012,
    task="8class@song",
    counts={"raw_label": _SONG},
    sha256_labels="9e03f2cd597d571a8426e8153aac61b402ed7f7300fb3e467d4f5838067ecdaf",
    spelling=_SPELLING,
    ids=_song_ids,
)

INFO = CorpusInfo(
    title="Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)",
    language="en",
    n_speakers=24,
    hours=2.9,
    licence="CC BY-NC-SA 4.0",
    licence_id="CC-BY-NC-SA-4.0",
    access="https://zenodo.org/records/1188976",
    tree="<root>/[any folder/]Actor_01/03-01-01-01-01-01-01.wav ...\n(speech, song or both, merged or not)",
    tasks={
        "8class": _NATIVE,
        "7class": {**_NATIVE, "calm": "neutral"},
        "7class-no-calm": {raw: name for raw, name in _NATIVE.items() if raw != "calm"},
        "4class": four_class(_NATIVE),
    },
    default_task="8class",
    default_protocol="folds:emobox",
    expected_counts=_ALL,
    splits={"pepino": {"train": _ACTORS[:20], "dev": ["21", "22"], "test": ["23", "24"]}},
    folds={
        "emobox": {
            "1": ["01", "11", "20", "21"],
            "2": ["04", "10", "12", "14"],
            "3": ["08", "09", "19", "23"],
            "4": ["03", "05", "07", "24"],
            "5": ["02", "15", "16", "18"],
            "6": ["06", "13", "17", "22"],
        }
    },
    subsets={
        "speech": Subset("spoken recordings (1440)", _is_speech),
        "song": Subset("sung recordings (1012; no disgust, no surprise, not actor 18)", _is_song),
    },
    notes=(
        "7class merges calm into neutral (Pepino et al.); 4class leaves calm out.",
        "EmoBox's folds are of speech only: ask for the task 8class@speech.",
        "Pepino et al. after Issa: drawn-kfold:5 with --dev drawn, speech and song; speakers are shared.",
        "Six recordings are stereo; 03-01-03-01-02-01-07 and 03-01-03-01-02-02-07 hold the same bytes.",
        "Two texts, spoken with every emotion. Hours are estimated.",
    ),
    published=(_WHOLE, _SPEECH_LIST, _SONG_LIST),
)


def read(root: Path) -> Corpus:
    """The audio-only recordings (names 03-...) below ``root``, speech and song.

    Raises CorpusError where there are none.
    """
    example = "Actor_01/03-01-01-01-01-01-01.wav"
    return read_named("ravdess", root, INFO, example, _utterance, release="1.0", choose=_choose)


def _choose(utterances: Sequence[Utterance]) -> PublishedList:
    """The list of what is here: many copies hold speech only."""
    channels = {u.id[:5] for u in utterances}
    if len(channels) > 1:
        return _WHOLE
    return _SPEECH_LIST if "03-01" in channels else _SONG_LIST


def _utterance(path: Path) -> Utterance | str | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    if match["modality"] != "03":
        return "sound of a video; the audio-only recording is used"
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=_EMOTIONS[match["emotion"]],
        speaker=match["actor"],
        transcript=_STATEMENTS[match["statement"]],
        language="en",
        sex="M" if int(match["actor"]) % 2 else "F",
        sentence=match["statement"],
    )


example = _acted.ravdess
