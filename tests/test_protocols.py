from __future__ import annotations

import dataclasses
import json
import random
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sercache import text
from sercache.datasets import Corpus, CorpusInfo, Utterance
from sercache.errors import ProtocolError, UnknownNameError
from sercache.protocols import DEVS, PROTOCOLS, Fold, _lists, make_folds

SPEAKERS = [f"S{session}{sex}" for session in range(1, 6) for sex in "FM"]
INFO = CorpusInfo(
    title="t", language="en", n_speakers=10, hours=1.0, licence="l", access="a", tree="t",
    tasks={"t": {c: c for c in "abc"}}, default_task="t",
    splits={
        "three": {"train": SPEAKERS[:6], "dev": SPEAKERS[6:8], "test": SPEAKERS[8:]},
        "two": {"train": SPEAKERS[:8], "test": SPEAKERS[8:]},
    },
    folds={"fives": {"x": SPEAKERS[:5], "y": SPEAKERS[5:]}, "short": {"x": SPEAKERS[:1], "y": SPEAKERS[1:2]}},
)  # fmt: skip


def corpus_of(*utterances: Utterance) -> Corpus:
    return Corpus("toy", "1", Path("/"), INFO, tuple(utterances))


def toy(n: int = 6, **changes: object) -> Corpus:
    """n utterances per speaker, classes a, b, c in turn, two sentences."""
    made = [
        Utterance(
            id=f"{speaker}_{k}", path=Path(f"{k}.wav"), raw_label="abc"[k % 3], speaker=speaker,
            group=speaker[:2], sentence=f"s{k % 2}",
        )
        for speaker in SPEAKERS
        for k in range(n)
    ]  # fmt: skip
    return corpus_of(*(dataclasses.replace(u, **changes) for u in made))


def folds(corpus: Corpus, protocol: str, **options) -> list[Fold]:
    return make_folds(corpus, corpus.labels(), protocol, **options)


def speakers(corpus: Corpus, ids: tuple[str, ...]) -> set[str]:
    return {corpus.by_id()[i].speaker for i in ids}


def groups(corpus: Corpus, ids: tuple[str, ...]) -> set[str]:
    return {corpus.by_id()[i].group for i in ids}


COVERING = (
    "leave-one-session-out",
    "leave-one-speaker-out",
    "kfold:5",
    "speaker-kfold:3",
    "group-kfold:3",
    "folds:fives",
    "drawn-kfold:4",
)


@pytest.mark.parametrize("protocol", COVERING)
@pytest.mark.parametrize(
    "dev", ["none", "next", "previous", "last", "random20", "balanced20", "superb20", "drawn"]
)
def test_every_utterance_is_tested_once_and_none_is_lost(protocol, dev):
    corpus = toy()
    if protocol == "folds:fives" and dev in ("next", "previous", "last", "drawn"):
        with pytest.raises(ProtocolError, match="the train part is empty"):
            folds(corpus, protocol, dev=dev)
        return
    made = folds(corpus, protocol, dev=dev)
    tested = Counter(i for fold in made for i in fold.test)
    assert tested == dict.fromkeys(corpus.labels(), 1)
    for fold in made:
        assert sorted(fold.train + fold.dev + fold.test) == sorted(corpus.labels())
        assert bool(fold.dev) == (dev != "none")
        train, test = speakers(corpus, fold.train + fold.dev), speakers(corpus, fold.test)
        assert (
            fold.speakers_disjoint == train.isdisjoint(test) == (protocol not in ("kfold:5", "drawn-kfold:4"))
        )
        assert fold.dev_speakers_disjoint == (
            None if dev == "none" else speakers(corpus, fold.dev).isdisjoint(speakers(corpus, fold.train))
        )
        assert fold.sentences_disjoint is False


@pytest.mark.parametrize(
    ("dev", "expected"),
    [
        ("next", {"S1": "S2", "S2": "S3", "S3": "S4", "S4": "S5", "S5": "S1"}),
        ("previous", {"S1": "S5", "S2": "S1", "S3": "S2", "S4": "S3", "S5": "S4"}),
        ("last", {"S1": "S5", "S2": "S5", "S3": "S5", "S4": "S5", "S5": "S4"}),
    ],
)
def test_which_session_is_dev(dev, expected):
    corpus = toy()
    made = folds(corpus, "leave-one-session-out", dev=dev)
    assert {fold.name: "".join(groups(corpus, fold.dev)) for fold in made} == expected
    assert all(groups(corpus, fold.test) == {fold.name} for fold in made)


def test_the_other_speaker_of_the_session_is_dev():
    corpus = toy()
    for fold in folds(corpus, "leave-one-speaker-out", dev="other-speaker"):
        other = fold.name[:2] + {"F": "M", "M": "F"}[fold.name[2]]
        assert speakers(corpus, fold.dev) == {other}
        assert len(speakers(corpus, fold.train)) == 8
        assert fold.dev_speakers_disjoint
    with pytest.raises(ProtocolError, match="goes with leave-one-speaker-out"):
        folds(corpus, "leave-one-session-out", dev="other-speaker")
    with pytest.raises(ProtocolError, match="no session with another speaker"):
        folds(toy(group=""), "leave-one-speaker-out", dev="other-speaker")


def test_random_dev_takes_a_fifth_of_every_class():
    corpus = toy(n=30)
    fold = folds(corpus, "leave-one-session-out", dev="random20", seed=3)[0]
    assert Counter(corpus.labels()[i] for i in fold.dev) == dict.fromkeys("abc", 16)
    assert fold.dev_speakers_disjoint is False
    assert fold.dev != folds(corpus, "leave-one-session-out", dev="random20", seed=4)[0].dev


@pytest.mark.parametrize(("kept", "expected"), [(1, 2), (4, 7), (5, 8), (10, 16)])
def test_balanced_dev_takes_a_fifth_of_the_smallest_class_of_every_class(kept, expected):
    corpus = toy(n=30)
    labels = corpus.labels()
    # Of class a, ten utterances to a speaker, the first few of each speaker are there: 8 x kept in training.
    known = [[i for i in labels if i.startswith(name) and labels[i] == "a"][:kept] for name in SPEAKERS]
    few = {i for ids in known for i in ids}
    labels = {i: c for i, c in labels.items() if c != "a" or i in few}
    made = make_folds(corpus, labels, "leave-one-session-out", dev="balanced20", seed=3)
    for fold in made:
        assert Counter(labels[i] for i in fold.dev) == dict.fromkeys("abc", expected)
        assert sorted(fold.train + fold.dev + fold.test) == sorted(labels)
    assert made[0].dev_speakers_disjoint is False
    other = make_folds(corpus, labels, "leave-one-session-out", dev="balanced20", seed=4)
    assert made[0].dev != other[0].dev


def test_kfold_spreads_classes_and_sizes():
    corpus = toy(n=7)
    labels = corpus.labels()
    for fold in folds(corpus, "kfold:5", seed=1):
        assert len(fold.test) == 14
        for c in "abc":
            share = sum(label == c for label in labels.values()) / 5
            assert abs(sum(labels[i] == c for i in fold.test) - share) < 1


def test_group_kfold_keeps_sessions_whole_and_sizes_even():
    corpus = toy()
    made = folds(corpus, "group-kfold:2", seed=5)
    assert sorted(len(fold.test) for fold in made) == [24, 36]
    assert groups(corpus, made[0].test).isdisjoint(groups(corpus, made[1].test))
    with pytest.raises(ProtocolError, match="at least 6 groups, there are 5"):
        folds(corpus, "group-kfold:6")


def test_fixed_splits():
    corpus = toy()
    (fold,) = folds(corpus, "fixed:three")
    assert speakers(corpus, fold.dev) == set(SPEAKERS[6:8])
    assert fold.speakers_disjoint
    with pytest.raises(ProtocolError, match="brings its own dev part"):
        folds(corpus, "fixed:three", dev="random20")
    with pytest.raises(ProtocolError, match="none or random20 or balanced20"):
        folds(corpus, "fixed:two", dev="next")
    (fold,) = folds(corpus, "fixed:two", dev="balanced20")
    assert Counter(corpus.labels()[i] for i in fold.dev) == dict.fromkeys("abc", 4)
    (fold,) = folds(corpus, "fixed:two", dev="random20")
    assert len(fold.dev) == pytest.approx(0.2 * 48, abs=2)
    assert speakers(corpus, fold.test) == set(SPEAKERS[8:])


def test_official_partitions():
    parts = dict(zip(SPEAKERS, ["train"] * 5 + ["dev", "test", "test", "test2", ""], strict=True))
    corpus = corpus_of(*(dataclasses.replace(u, partition=parts[u.speaker]) for u in toy().utterances))
    (fold,) = folds(corpus, "fixed:official")
    assert [len(p) for p in (fold.train, fold.dev, fold.test)] == [30, 6, 12]
    (fold,) = folds(corpus, "fixed:test2")
    assert [len(p) for p in (fold.train, fold.dev, fold.test)] == [30, 6, 6]
    with pytest.raises(UnknownNameError, match="fixed split of toy 'official'"):
        folds(toy(), "fixed:official")


def test_the_task_decides_who_takes_part():
    corpus = toy()
    labels = {i: c for i, c in corpus.labels().items() if c != "c" and not i.startswith("S3")}
    made = make_folds(corpus, labels, "leave-one-session-out")
    assert [fold.name for fold in made] == ["S1", "S2", "S4", "S5"]
    assert {i for fold in made for i in fold.train + fold.test} == set(labels)


@pytest.mark.parametrize(
    ("protocol", "error", "message"),
    [
        ("leave-one-sesion-out", UnknownNameError, "did you mean leave-one-session-out"),
        ("leave-one-session-out:5", UnknownNameError, "unknown protocol"),
        ("kfold", UnknownNameError, "did you mean kfold:<k>"),
        ("kfold:1", ProtocolError, "from 2 on"),
        ("kfold:five", ProtocolError, "for example kfold:5"),
        ("kfold:²", ProtocolError, "for example kfold:5"),
        ("kfold:61", ProtocolError, "at least 61 utterances, there are 60"),
        ("speaker-kfold:11", ProtocolError, "at least 11 speakers, there are 10"),
        ("fixed:pepino", UnknownNameError, "there is: three, two"),
        ("folds:five", UnknownNameError, "did you mean fives"),
        ("folds:short", ProtocolError, "no place for speaker S2F"),
    ],
)
def test_faults(protocol, error, message):
    with pytest.raises(error) as caught:
        folds(toy(), protocol)
    assert message in str(caught.value)


def test_what_a_corpus_lacks_is_told():
    with pytest.raises(ProtocolError, match=r"60 utterances have no session.*choose leave-one-speaker-out"):
        folds(toy(group=""), "leave-one-session-out")
    with pytest.raises(ProtocolError, match=r"no speaker.*choose kfold"):
        folds(toy(speaker=""), "leave-one-speaker-out")
    with pytest.raises(ProtocolError, match="at least 2 parts, toy gives 1"):
        folds(toy(group="one"), "leave-one-session-out")
    with pytest.raises(ProtocolError, match="has 0 classes"):
        make_folds(toy(), {}, "kfold:5")
    with pytest.raises(ProtocolError, match="no utterance strange"):
        make_folds(toy(), {"strange": "a"}, "kfold:5")
    with pytest.raises(UnknownNameError, match="did you mean random20"):
        folds(toy(), "kfold:5", dev="random")


def test_unknown_speakers_are_never_called_disjoint():
    fold = folds(toy(speaker=""), "kfold:2")[0]
    assert fold.speakers_disjoint is False
    assert folds(toy(sentence=""), "kfold:2")[0].sentences_disjoint is None


def test_a_class_that_only_the_test_part_has_is_refused():
    corpus = toy()
    labels = {i: ("rare" if i.startswith("S1F") else c) for i, c in corpus.labels().items()}
    with pytest.raises(ProtocolError, match="fold S1F: no training utterance of rare"):
        make_folds(corpus, labels, "leave-one-speaker-out")


def test_overlapping_parts_cannot_be_built():
    with pytest.raises(ProtocolError, match="2 utterances are in train and test, first: a"):
        Fold("f", ("a", "b", "c"), (), ("b", "a"), True)
    with pytest.raises(ProtocolError, match="in train and dev"):
        Fold("f", ("a",), ("a",), ("b",), True)
    with pytest.raises(ProtocolError, match="the test part is empty"):
        Fold("f", ("a",), (), (), True)


def test_the_dev_part_is_tested_where_the_test_labels_are_held_back():
    corpus = corpus_of(
        *(
            Utterance(f"{part}{k}", Path("x"), "ab"[k], "", partition=part)
            for part in ("train", "dev")
            for k in range(2)
        ),
        Utterance("unplaced", Path("x"), "a", ""),
    )
    [fold] = folds(corpus, "fixed:dev")
    assert (fold.train, fold.dev, fold.test) == (("train0", "train1"), ("dev0", "dev1"), ("dev0", "dev1"))
    assert fold.dev_is_test
    with pytest.raises(ProtocolError, match="brings its own dev part"):
        folds(corpus, "fixed:dev", dev="random20")
    with pytest.raises(ProtocolError, match="are in dev and test"):
        Fold("other", ("a",), ("b",), ("b",), True)
    with pytest.raises(ProtocolError, match="are in dev and test"):
        Fold("dev", ("a",), ("b", "c"), ("b",), True)
    with pytest.raises(UnknownNameError, match="fixed split"):
        folds(toy(), "fixed:dev")


def test_speakers_sort_as_numbers():
    corpus = corpus_of(
        *(Utterance(f"{s}_{k}", Path("x"), "ab"[k], str(s)) for s in (1, 2, 10, 11) for k in range(2))
    )
    assert [fold.name for fold in folds(corpus, "leave-one-speaker-out")] == ["1", "2", "10", "11"]


def test_names_on_offer_are_described():
    assert all(PROTOCOLS.values())
    assert all(DEVS.values())
    known = {
        "none",
        "next",
        "previous",
        "last",
        "random20",
        "balanced20",
        "superb20",
        "drawn",
        "other-speaker",
    }
    assert set(DEVS) == known


@given(st.randoms(use_true_random=False), st.sampled_from(COVERING), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_listing_order_never_matters(draw: random.Random, protocol, seed):
    corpus = toy(n=3)
    shuffled = list(corpus.utterances)
    draw.shuffle(shuffled)
    labels = dict(draw.sample(sorted(corpus.labels().items()), k=len(corpus.labels())))
    dev = ("random20", "balanced20")[seed % 2]
    expected = folds(corpus, protocol, dev=dev, seed=seed)
    assert make_folds(corpus_of(*shuffled), labels, protocol, dev=dev, seed=seed) == expected


@given(
    st.lists(
        st.tuples(st.sampled_from("PQRS"), st.sampled_from("ab"), st.sampled_from(["g1", "g2"])), min_size=2
    ),
    st.sampled_from(["leave-one-session-out", "leave-one-speaker-out", "kfold:2", "speaker-kfold:2"]),
    st.sampled_from(list(DEVS)),
)
@settings(max_examples=80, deadline=None)
def test_any_corpus_gives_sound_folds_or_a_refusal(rows, protocol, dev):
    corpus = corpus_of(*(Utterance(f"u{n}", Path("x"), c, s, group=g) for n, (s, c, g) in enumerate(rows)))
    labels = corpus.labels()
    try:
        made = folds(corpus, protocol, dev=dev)
    except ProtocolError:
        return
    for fold in made:
        parts = [set(fold.train), set(fold.dev), set(fold.test)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == len(labels)
        assert {labels[i] for i in fold.train} == set(labels.values())
        if protocol != "kfold:2" and protocol != "leave-one-session-out" and dev != "none":
            assert speakers(corpus, fold.test).isdisjoint(speakers(corpus, fold.train))


def superb_dev(ids: list[str]) -> set[str]:
    """The dev part as s3prl's downstream/emotion draws it from a list."""
    n = int((1 - 0.2) * len(ids))
    torch.manual_seed(0)
    return set(torch.utils.data.random_split(ids, [n, len(ids) - n])[1])


def test_a_file_called_all_needs_a_test_part_like_any_other(tmp_path):
    corpus, path = toy(), tmp_path / "all.csv"
    path.write_text("".join(f"{utterance.id},train\n" for utterance in corpus.utterances))
    with pytest.raises(ProtocolError, match=r"fold all\.csv: the test part is empty"):
        folds(corpus, f"fixed:{path}")


def test_superb_dev_follows_the_order_of_a_list(tmp_path):
    corpus = toy()
    ids = sorted(corpus.labels())
    for fold in folds(corpus, "leave-one-session-out", dev="superb20"):
        assert set(fold.dev) == superb_dev([i for i in ids if i not in fold.test])
    random.Random(3).shuffle(ids)
    listed = tmp_path / "order.txt"
    listed.write_text("".join(f"Session1/wav/{i}.wav\n" for i in ids))
    for session in "12345":
        folder = tmp_path / f"Session{session}"
        folder.mkdir()
        entries = [{"path": f"{i}.wav", "label": "hap"} for i in ids if i[1] == session]
        (folder / "test_meta_data.json").write_text(json.dumps({"meta_data": entries}))
    for fold in folds(corpus, "leave-one-session-out", dev=f"superb20:{listed}"):
        assert set(fold.dev) == superb_dev([i for i in ids if i not in fold.test])
    by_session = sorted(ids, key=lambda i: i[1])
    for fold in folds(corpus, "leave-one-session-out", dev=f"superb20:{tmp_path}"):
        assert set(fold.dev) == superb_dev([i for i in by_session if i not in fold.test])


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot read the list"), ("S2F_0\n", "lacks 47 of 48"), (b"\xe4\n", "not UTF-8")],
)
def test_orders_that_cannot_be_used(tmp_path, content, message):
    path = tmp_path / "order.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ProtocolError, match=message):
        folds(toy(), "leave-one-session-out", dev=f"superb20:{path}")
    with pytest.raises(ProtocolError, match=r"not an s3prl list|cannot read"):
        folds(toy(), "leave-one-session-out", dev=f"superb20:{path}.json")
    with pytest.raises(ProtocolError, match="has no files Session1"):
        folds(toy(), "leave-one-session-out", dev=f"superb20:{tmp_path}")


@pytest.mark.parametrize("dev", ["superb20:", "random20:x", "superb", "none:"])
def test_dev_rules_that_do_not_exist(dev):
    with pytest.raises(UnknownNameError, match="dev rule"):
        folds(toy(), "leave-one-session-out", dev=dev)


def test_drawn_parts_are_those_of_the_published_draw():
    """numpy's own functions, as the authors call them: np.random.seed(1234), np.random.choice."""
    corpus = toy()
    ids = sorted(corpus.labels())
    made = folds(corpus, "drawn-kfold:4", dev="drawn")
    left = ids
    for fold in made[:3]:
        np.random.seed(1234)  # noqa: NPY002
        chosen = {left[k] for k in np.random.choice(len(left), size=15, replace=False)}  # noqa: NPY002
        assert set(fold.test) == chosen
        left = [i for i in left if i not in chosen]
    for fold in made:
        fold_of = {i: other.name for other in made for i in other.test}
        met = list(dict.fromkeys(fold_of[i] for i in ids if i not in fold.test))
        np.random.seed(1234)  # noqa: NPY002
        train = set(np.random.choice(met, size=2, replace=False))  # noqa: NPY002
        assert {fold_of[i] for i in fold.train} == train
        assert len({fold_of[i] for i in fold.dev}) == 1


def test_drawn_dev_of_many_units_is_a_tenth():
    fold = folds(toy(), "leave-one-speaker-out", dev="drawn")[0]
    assert len(speakers(toy(), fold.dev)) == 1
    assert len(speakers(toy(), fold.train)) == 8


def test_a_split_of_the_users_own(tmp_path):
    corpus = toy()
    path = tmp_path / "mine.tsv"
    path.write_text("# a comment\nS1\ttrain\nS2F\tTRAIN\nS3\tvalid\nS4\ttest\nS5F_0,test\nelsewhere\ttest\n")
    (fold,) = folds(corpus, f"fixed:{path}")
    assert fold.name == "mine"
    assert speakers(corpus, fold.train) == {"S1F", "S1M", "S2F"}
    assert groups(corpus, fold.dev) == {"S3"}
    assert [i for i in fold.test if not i.startswith("S4")] == ["S5F_0"]
    assert fold.speakers_disjoint
    assert fold.dev_speakers_disjoint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("S1\ttrain\nS2 test\n", "line 2: expected a name"),
        ("S1\ttrain\nS2\tother\n", "line 2: expected a name"),
        ("S1\ttrain\nS1F\ttest\n", "line 2: S1F_0 is in the part train already"),
        ("nobody\ttrain\n", "names no utterance, session or speaker of toy; an id is like S1F_0"),
        ("S1\ttrain\n", "the test part is empty"),
    ],
)
def test_splits_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(ProtocolError, match=message):
        folds(toy(), f"fixed:{path}")


@given(st.binary(max_size=120))
@settings(max_examples=60, deadline=None)
def test_any_file_is_a_split_or_a_refusal(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.tsv"
    path.write_bytes(data)
    for protocol, dev in ((f"fixed:{path}", "none"), ("leave-one-session-out", f"superb20:{path}")):
        with pytest.raises(ProtocolError):
            folds(toy(), protocol, dev=dev)


def test_everything_trains_and_nothing_is_tested():
    [fold] = folds(toy(), "all")
    assert (fold.name, fold.dev, fold.test) == ("all", (), ())
    assert set(fold.train) == set(toy().labels())
    [fold] = folds(toy(), "all", dev="random20")
    assert 0.15 < len(fold.dev) / (len(fold.train) + len(fold.dev)) < 0.25
    assert set(fold.train) | set(fold.dev) == set(toy().labels())
    with pytest.raises(
        ProtocolError, match="all has one train part: --dev is none or random20 or balanced20, got"
    ):
        folds(toy(), "all", dev="next")


def test_a_task_of_numbers_needs_no_classes():
    corpus = toy()
    one = dict.fromkeys(corpus.labels(), "")
    with pytest.raises(ProtocolError, match="has 1 classes"):
        make_folds(corpus, one, "leave-one-speaker-out")
    made = make_folds(corpus, one, "leave-one-speaker-out", dev="random20", numeric=True)
    assert {id for fold in made for id in fold.test} == set(one)
    assert all(fold.dev for fold in made)


def test_a_part_of_which_the_copy_has_nothing_is_told_with_what_is_missing(tmp_path):
    whole = toy()
    part = corpus_of(*(u for u in whole.utterances if u.speaker not in SPEAKERS[8:]))
    path = tmp_path / "own.tsv"
    path.write_text("".join(f"{s}\t{'test' if s in SPEAKERS[8:] else 'train'}\n" for s in SPEAKERS))
    for protocol, fold in (("fixed:three", "three"), (f"fixed:{path}", str(path))):
        assert make_folds(whole, whole.labels(), protocol)
        message = rf"fold {fold}: the test part is empty, .* copy of toy .* of the 2 .* first: S5F; .*doctor"
        with pytest.raises(ProtocolError, match=message):
            make_folds(part, part.labels(), protocol)
    few = corpus_of(*(u for u in whole.utterances if u.speaker not in SPEAKERS[:5]))
    with pytest.raises(ProtocolError, match=r"fold x: the test part is empty, .* of the 5 .* first: S1F"):
        make_folds(few, few.labels(), "folds:fives")


def test_what_lists_name_and_the_copy_lacks_is_told_and_what_the_task_does_not_label_is_not(tmp_path):
    corpus = toy()
    own = tmp_path / "own.tsv"
    unlabelled = corpus.utterances[0].id
    labels = {id: label for id, label in corpus.labels().items() if id != unlabelled}
    lines = {unlabelled: "train", **dict.fromkeys(SPEAKERS[1:8], "train"), "S9F": "train", "gone": "test"}
    lines |= dict.fromkeys(SPEAKERS[8:], "test")
    own.write_text("".join(f"{name}\t{part}\n" for name, part in lines.items()))
    (fold,) = make_folds(corpus, labels, f"fixed:{own}")
    assert fold.lacking == ("S9F", "gone")
    few = corpus_of(*(u for u in corpus.utterances if u.speaker != SPEAKERS[0]))
    (fold,) = make_folds(few, few.labels(), "fixed:three")
    assert fold.lacking == (SPEAKERS[0],)
    (fold,) = make_folds(corpus, corpus.labels(), "fixed:three")
    assert not fold.lacking


def test_lists_in_other_encodings_and_other_forms_of_a_letter(tmp_path):
    names = [unicodedata.normalize("NFC", name) for name in ("müde", "fröhlich", "käse")]
    corpus = corpus_of(*(Utterance(id=name, path=Path("x"), raw_label="a", speaker="") for name in names))
    lines = "".join(f"{name}\t{part}\n" for name, part in zip(names, ("train", "dev", "test"), strict=True))
    path = tmp_path / "split.tsv"
    expected = {part: [name] for name, part in zip(names, ("train", "dev", "test"), strict=True)}
    path.write_bytes(unicodedata.normalize("NFD", lines).encode())
    assert _lists.read_split(path, corpus, corpus.by_id()).parts == expected
    path.write_bytes(lines.encode("cp1252"))
    with pytest.raises(ProtocolError, match=r"line 1 is not UTF-8; it can be read as cp1252 \(müde\)"):
        _lists.read_split(path, corpus, corpus.by_id())
    with text.reading_as("cp1252"):
        assert _lists.read_split(path, corpus, corpus.by_id()).parts == expected


def test_folds_have_names_that_are_apart_on_any_disk() -> None:
    """Files bear them: of speakers A and a the weights of one were written over those of the other."""
    names = dict(zip(SPEAKERS, ("A", "a", "a~2", "ß", "SS", "B", "b", "C", "D", "E"), strict=True))
    corpus = toy()
    corpus = corpus_of(*(dataclasses.replace(u, speaker=names[u.speaker]) for u in corpus.utterances))
    found = folds(corpus, "leave-one-speaker-out")
    assert {fold.name: speakers(corpus, fold.test) for fold in found} == {
        "A": {"A"}, "a~3": {"a"}, "a~2": {"a~2"}, "SS": {"SS"}, "ß~2": {"ß"}, "B": {"B"}, "b~2": {"b"}, "C": {"C"},
        "D": {"D"}, "E": {"E"},
    }  # fmt: skip
