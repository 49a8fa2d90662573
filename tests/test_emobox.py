"""EmoBox's protocol: its head and learning rates, folds out of its lists, and its tables beside ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from sercache.datasets import Corpus, CorpusInfo, Utterance
from sercache.errors import ProtocolError
from sercache.heads import emobox
from sercache.protocols import make_folds
from sercache.recipe import Recipe
from sercache.training.plan import learning_rate

INFO = CorpusInfo(
    title="t", language="en", n_speakers=3, hours=1.0, licence="l", access="a", tree="t",
    tasks={"t": {"a": "a", "b": "b"}}, default_task="t",
)  # fmt: skip


def write_fold(folder: Path, number: int, **parts: Iterable[dict[str, object]]) -> None:
    """The lists of a fold as EmoBox has them: a file for each part."""
    fold = folder / f"fold_{number}"
    fold.mkdir(parents=True, exist_ok=True)
    for part, rows in parts.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (fold / f"{folder.name}_{part}_fold_{number}.jsonl").write_text(text, encoding="utf-8")


def line(key: str, wav: str, dataset: str = "toy", seconds: float = 1.0) -> dict[str, object]:
    return {
        "key": f"{dataset}-{key}",
        "dataset": dataset,
        "wav": f"downloads/{dataset}/{wav}",
        "length": seconds,
    }


def toy(*names: str) -> Corpus:
    """Utterances at these paths, of the two classes in turn, each by the speaker that its folder names."""
    made = [
        Utterance(name.removesuffix(".wav"), Path("/x") / name, "ab"[k % 2], name.partition("/")[0])
        for k, name in enumerate(names)
    ]
    return Corpus("toy", "1", Path("/x"), INFO, tuple(made))


def folds_of(corpus: Corpus, folder: Path, dev: str = "none") -> list[tuple[str, ...]]:
    made = make_folds(corpus, corpus.labels(), f"lists:{folder}", dev=dev)
    return [(fold.name, *fold.train, "|", *fold.test) for fold in made]


def test_frames_are_normalised_as_layer_norm_does_each_recording_alone() -> None:
    x, lengths = torch.randn(3, 1, 7, 5, generator=torch.Generator().manual_seed(0)), (7, 4, 0)
    mask = torch.arange(7) < torch.tensor(lengths)[:, None]
    found = emobox.normalised(torch.where(mask[:, None, :, None], 3 * x + 2, torch.nan), mask)
    for k, n in enumerate(lengths):
        if n:
            theirs = F.layer_norm(3 * x[k, 0, :n] + 2, (n, 5))
            torch.testing.assert_close(found[k, 0, :n], theirs)
        assert not found[k, 0, n:].any()


def test_learning_rates_are_those_that_speechbrain_gives_after_each_epoch() -> None:
    recipe = replace(Recipe(), schedule="triangle", lr=1.0, max_epochs=20)
    rates = [learning_rate(recipe, epoch) for epoch in range(1, 21)]
    # The first epoch is trained before the schedule is asked: 0, 0.1, … 1, 0.9, … are of those after it.
    theirs = [1.0, *(step / 10 if step < 10 else (20 - step) / 10 for step in range(19))]
    assert rates == pytest.approx(theirs)
    assert [learning_rate(replace(recipe, max_epochs=n), n) for n in (1, 2, 3)] == [1.0, 0.0, 1.0]


def test_folds_are_read_by_key_and_else_by_as_much_of_a_path_as_tells(tmp_path: Path) -> None:
    """A name that another folder has too is told by its folder, also in a corpus that lacks the other."""
    folder = tmp_path / "toy"
    rows = [
        line("x1", "s1/01.wav"),
        line("x2", "s1/02.wav"),
        line("x3", "s2/01.wav"),
        line("s2/a (2)", "b/z.wav"),
    ]
    write_fold(folder, 1, train=rows[:2], test=rows[2:])
    write_fold(folder, 10, train=rows[2:], test=rows[:2])
    write_fold(folder, 2, train=rows, test=[line("x5", "s2/03.wav"), line("x6", "s2/04.wav")])
    corpus = toy("s1/01.wav", "s1/02.wav", "s2/01.wav", "s2/a 2.wav", "s2/03.wav", "s2/04.wav")
    assert folds_of(corpus, folder) == [
        ("1", "s1/01", "s1/02", "|", "s2/01", "s2/a 2"),
        ("2", "s1/01", "s1/02", "s2/01", "s2/a 2", "|", "s2/03", "s2/04"),
        ("10", "s2/01", "s2/a 2", "|", "s1/01", "s1/02"),
    ]
    part = toy("s1/01.wav", "s1/02.wav", "s2/03.wav", "s2/04.wav")
    with pytest.raises(ProtocolError, match="fold 1: the test part is empty"):
        folds_of(part, folder)
    write_fold(folder, 1, train=rows[:2], test=[line("x5", "s2/03.wav")])
    write_fold(folder, 10, train=rows[:2], test=[line("x6", "s2/04.wav")])
    # s2/01 is not here: what is called 01 is that of s1, and of it alone.
    assert folds_of(part, folder)[2] == ("10", "s1/01", "s1/02", "|", "s2/04")


def test_long_recordings_lie_in_no_part_and_a_dev_part_is_drawn_or_read(tmp_path: Path) -> None:
    names = [f"s{k % 2}/{k:02}.wav" for k in range(24)]
    rows = [line(f"k{k}", name, seconds=31 if k == 3 else 2) for k, name in enumerate(names)]
    folder, corpus = tmp_path / "toy", toy(*names)
    write_fold(folder, 1, train=rows[:20], test=rows[20:])
    [fold] = make_folds(corpus, corpus.labels(), "lists:toy", dev="random20", lists=tmp_path)
    assert (len(fold.train), len(fold.dev), len(fold.test)) == (15, 4, 4)
    assert "s1/03" not in (*fold.train, *fold.dev, *fold.test)
    assert not fold.speakers_disjoint
    write_fold(folder, 1, valid=rows[16:20], train=rows[:16])
    [fold] = make_folds(corpus, corpus.labels(), "lists:toy", lists=tmp_path)
    assert len(fold.dev) == 4
    with pytest.raises(ProtocolError, match="brings its own dev part"):
        make_folds(corpus, corpus.labels(), "lists:toy", dev="random20", lists=tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: None, "has no lists fold_1"),
        (lambda folder: write_fold(folder, 1, test=[line("x", "s1/01.wav")]), "no list of fold 1 for train"),
        (
            lambda folder: write_fold(folder, 1, train=[line("x", "q/9.wav")], test=[line("y", "q/8.wav")]),
            "names no utterance of toy; an id is like s1/01, a name there like y",
        ),
        (lambda folder: write_fold(folder, 1, train=[{"key": "x"}], test=[]), "line 1: expected an object with key"),
        (lambda folder: write_fold(folder, 1, train=[["x"]], test=[]), "line 1: expected an object with key"),  # type: ignore[list-item]
    ],
)  # fmt: skip
def test_lists_that_cannot_be_used_say_why(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(tmp_path / "toy")
    with pytest.raises(ProtocolError, match=message):
        folds_of(toy("s1/01.wav", "s1/02.wav"), tmp_path / "toy")
