"""Columns of commit records that take little memory: of a million utterances no text lies about as an object."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import overload

import numpy as np


class Texts(Sequence[str]):
    """Texts one after another in one array of UTF-8 bytes; each is made when it is asked for."""

    def __init__(self, data: np.ndarray, ends: np.ndarray) -> None:
        """``data`` uint8; text k is ``data[ends[k] : ends[k + 1]]``, so ``ends`` has one more than there are."""
        if len(ends) and (ends[0] < 0 or ends[-1] > len(data) or (np.diff(ends) < 0).any()):
            raise ValueError("texts end before they begin, or beyond all of them")
        self.data, self.ends = data, ends

    @classmethod
    def of(cls, texts: Sequence[str]) -> Texts:
        """The same texts, packed."""
        if isinstance(texts, Texts):
            return texts
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        ends = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(text) for text in encoded], out=ends[1:])
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends)

    def __len__(self) -> int:
        return len(self.ends) - 1

    @overload
    def __getitem__(self, k: int) -> str: ...
    @overload
    def __getitem__(self, k: slice) -> Texts: ...
    def __getitem__(self, k: int | slice) -> str | Texts:
        if isinstance(k, slice):
            start, stop, step = k.indices(len(self))
            if step != 1:
                raise ValueError("texts are cut in one piece only")
            return Texts(self.data, self.ends[start : max(start, stop) + 1])
        row = range(len(self))[k]
        return _text(self.data[self.ends[row] : self.ends[row + 1]].tobytes())

    def __iter__(self) -> Iterator[str]:
        whole = self.data[self.ends[0] : self.ends[-1]].tobytes()
        for start, stop in pairwise((self.ends - self.ends[0]).tolist()):
            yield _text(whole[start:stop])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Texts):
            return np.array_equal(np.diff(self.ends), np.diff(other.ends)) and np.array_equal(
                self.data[self.ends[0] : self.ends[-1]], other.data[other.ends[0] : other.ends[-1]]
            )
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    @staticmethod
    def join(parts: Iterable[Texts]) -> Texts:
        """All of them in a row."""
        cut = [(part.data[part.ends[0] : part.ends[-1]], np.diff(part.ends)) for part in parts]
        ends = np.concatenate([[0], *(lengths for _, lengths in cut)]).astype(np.int64)
        data = np.concatenate([data for data, _ in cut]) if cut else np.empty(0, np.uint8)
        return Texts(data, np.cumsum(ends))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


class Checksums(Sequence[str]):
    """CRC-32C values (U, K) uint32, each row as K times 8 hex digits."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    @classmethod
    def of(cls, rows: Sequence[str], n_each: int) -> Checksums:
        """The checksums in these texts of ``n_each`` times 8 hex digits. Raises ValueError for other texts."""
        if isinstance(rows, Checksums):
            return rows
        data = np.frombuffer(bytes.fromhex("".join(rows)), ">u4").astype("<u4")
        return cls(data.reshape(len(rows), n_each))

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, k: int) -> str: ...
    @overload
    def __getitem__(self, k: slice) -> Checksums: ...
    def __getitem__(self, k: int | slice) -> str | Checksums:
        if isinstance(k, slice):
            return Checksums(self.values[k])
        return self.values[k].astype(">u4").tobytes().hex()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Checksums):
            # Of no rows it makes no difference how many checksums each of them would have.
            return len(self) == len(other) == 0 or np.array_equal(self.values, other.values)
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def hash_id(id: str) -> int:
    """64 bits that stand for an id; equal ones are compared in full wherever that decides anything."""
    data = id.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def hash_ids(ids: Iterable[str]) -> np.ndarray:
    """``hash_id`` of each, (U,) uint64."""
    return np.fromiter(map(hash_id, ids), "<u8")
