"""A feature store and a corpus in memory, for tests of stage two."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sercache.datasets import Corpus, CorpusInfo, Utterance
from sercache.stores import Damage, Entry, decode_frames, encode_frames
from sercache.stores.spec import FeatureSpec

CLASSES = ("anger", "happiness", "neutral", "sadness")


def _digest(x: np.ndarray) -> str:
    """As if equal features were equal audio."""
    return hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()


class FakeStore:
    """Keeps the read contract of a store over a dict of frames (L, T, D)."""

    def __init__(
        self,
        frames: Mapping[str, np.ndarray],
        /,
        *,
        clip: str = "none",
        dtype: str = "float32",
        **changes: object,
    ) -> None:
        first = next(iter(frames.values()))
        names = tuple(str(k + 1) for k in range(first.shape[0]))
        spec = FeatureSpec(
            encoder="tiny",
            identity={"source": "test"},
            sample_rate=16000,
            hop=320,
            corpus="talk",
            release="1",
            states=names,
            dim=first.shape[2],
            dtype=dtype,  # type: ignore[arg-type]
            clip=clip,
        )
        self.spec = replace(spec, **changes)  # type: ignore[arg-type]
        self.path = Path("nowhere")
        self.frames = dict(frames)
        self.digests: dict[str, str] = {}
        """Of the audio, where a test looks at it."""
        self.n_reads = 0
        self.expected: list[list[str]] = []
        """Ids of each announcement."""

    def refresh(self) -> bool:
        return False

    def ids(self) -> list[str]:
        return list(self.frames)

    def entries(self) -> dict[str, Entry]:
        return {
            id: Entry(id, x.shape[1], x.shape[1] * 320, self.digests.get(id, _digest(x)))
            for id, x in self.frames.items()
        }

    def read(self, id: str, states: Sequence[str] | None = None) -> np.ndarray:
        self.n_reads += 1
        return decode_frames(self.read_stored(id, states), self.spec.dtype)

    def read_stored(self, id: str, states: Sequence[str] | None = None) -> np.ndarray:
        plain = self.frames[id][self._places(states)].astype(np.float32)
        return np.stack([encode_frames(frames, self.spec.dtype, id, "") for frames in plain])

    def read_many(self, ids: Sequence[str], states: Sequence[str] | None = None) -> list[np.ndarray]:
        return [self.read(id, states) for id in ids]

    def read_each(
        self, ids: Sequence[str], states: Sequence[str] | None = None
    ) -> Iterator[tuple[int, np.ndarray]]:
        return enumerate(self.read_many(ids, states))

    def expect(self, ids: Sequence[str], states: Sequence[str] | None = None) -> None:
        self.expected.append(list(ids))

    def pooled(
        self, ids: Sequence[str] | None = None, states: Sequence[str] | None = None, what: str = "mean"
    ) -> np.ndarray:
        chosen = self.ids() if ids is None else ids
        places = self._places(states)
        rows = [getattr(self.frames[id].astype(np.float64), what)(axis=1)[places] for id in chosen]
        return np.stack(rows).astype(np.float32)

    def n_bytes(self) -> int:
        return 0

    def verify(self) -> list[Damage]:
        return []

    def _places(self, states: Sequence[str] | None) -> list[int]:
        return [self.spec.states.index(name) for name in states or self.spec.states]


def make_corpus(
    ids: Iterable[str], labels: Iterable[str], speakers: Iterable[str], name: str = "talk"
) -> Corpus:
    """A corpus whose raw labels are its classes; each speaker is a session too."""
    utterances = tuple(
        Utterance(id=id, path=Path(f"{id}.wav"), raw_label=label, speaker=speaker, group=speaker)
        for id, label, speaker in zip(ids, labels, speakers, strict=True)
    )
    classes = {u.raw_label: u.raw_label for u in utterances}
    info = CorpusInfo(
        title=name, language="en", n_speakers=None, hours=None, licence="", access="", tree="",
        tasks={"4class": classes}, default_task="4class",
    )  # fmt: skip
    return Corpus(name, "1", Path("nowhere"), info, utterances)


def make_talk(
    n_speakers: int = 5,
    n_each: int = 8,
    n_layers: int = 3,
    dim: int = 6,
    signal: float = 3.0,
    n_clips: int = 1,
    seed: int = 0,
) -> tuple[Corpus, FakeStore]:
    """Noise with a class direction in state 2 and a voice per speaker; ``n_each`` utterances per speaker."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(dim, dim)))[0][: len(CLASSES)]
    frames, ids, labels, speakers = {}, [], [], []
    for s in range(n_speakers):
        voice = rng.normal(size=dim) * 0.5
        for k in range(n_each):
            label = k % len(CLASSES)
            ids.append(f"s{s}-{k}")
            labels.append(CLASSES[label])
            speakers.append(f"s{s}")
            for clip in range(n_clips):
                x = rng.normal(size=(n_layers, int(rng.integers(3, 9)), dim)) + voice
                x[min(1, n_layers - 1)] += signal * directions[label]
                frames[f"{ids[-1]}#{clip}" if n_clips > 1 else ids[-1]] = x.astype(np.float32)
    store = FakeStore(frames, clip="split:5" if n_clips > 1 else "none")
    return make_corpus(ids, labels, speakers), store
