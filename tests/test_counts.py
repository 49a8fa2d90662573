"""`sercache datasets NAME --counts`: utterances by session, sex and class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from conftest import Outcome
from corpus_trees import TREES

from sercache import catalog
from sercache.experiment.counts import counted

Sercache = Callable[..., Outcome]


def test_counts_of_iemocap_are_those_of_its_files(sercache: Sercache, tmp_path: Path) -> None:
    root = TREES["iemocap"](tmp_path / "iemocap")
    corpus = catalog.load("sercache.datasets", "iemocap").read(root)
    labels = corpus.labels("4class")
    heading, *rows, total = counted(corpus, labels)
    assert heading[:2] == ("session", "sex")
    classes = heading[2:-1]
    assert set(classes) == set(labels.values())
    for session, sex, *numbers, n in rows:
        here = [
            labels[u.id] for u in corpus.utterances if u.id in labels and (u.group, u.sex) == (session, sex)
        ]
        assert numbers == [here.count(each) for each in classes]
        assert n == len(here) > 0
    assert total == ("all", "", *(list(labels.values()).count(each) for each in classes), len(labels))
    assert sum(row[-1] for row in rows) == len(labels)
    code, out, err = sercache("datasets", "iemocap", "--counts", "--root", root)
    assert code == 0, err
    assert out.splitlines()[-1].split() == ["all", *map(str, total[2:])]


def test_many_classes_are_counted_one_below_the_other(sercache: Sercache, tmp_path: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    rows = [f"u{k},{k}.wav,class{k % 30:02d},s{k % 4}" for k in range(70)]
    (root / "list.csv").write_text("\n".join(["id,path,label,speaker", *rows]) + "\n")
    for k in range(70):
        (root / f"{k}.wav").write_bytes(b"")
    code, out, err = sercache("datasets", "manifest", "--counts", "--root", root / "list.csv")
    assert code == 0, err
    table = [line.split() for line in out.splitlines()[-32:]]
    assert table[0] == ["class", "-", "all"]
    assert table[1] == ["class00", "3", "3"]
    assert table[-1] == ["all", "70", "70"]


def test_what_cannot_be_counted_is_refused(sercache: Sercache, tmp_path: Path) -> None:
    root = TREES["hume-prosody"](tmp_path / "hume")
    code, _, err = sercache("datasets", "hume-prosody", "--counts", "--task", "shares", "--root", root)
    assert code == 2
    assert "task shares of hume-prosody gives numbers" in err
    for call in (["--counts"], ["iemocap", "--task", "4class"]):
        code, _, err = sercache("datasets", *call)
        assert code == 2
        assert "--counts goes with the name of a corpus" in err
