"""What every registered corpus must keep; run over generated trees of each real layout."""

from __future__ import annotations

import dataclasses
import errno
import importlib.util
import json
import os
import random
from collections.abc import Mapping
from pathlib import Path

import corpus_trees
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sercache import audio, catalog, datasets
from sercache.datasets import Corpus, CorpusInfo, check
from sercache.errors import CorpusError, SercacheError, UnknownNameError

NAMES = catalog.names("sercache.datasets")


def module(name):
    return catalog.load("sercache.datasets", name)


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Folder of each tree, built at first use."""
    built: dict[str, Path] = {}

    def root(name: str) -> Path:
        needed = {"demo": "espeakng_loader", "audformat": "audformat", "huggingface": "pyarrow"}.get(name)
        if needed and importlib.util.find_spec(needed) is None:
            pytest.skip(f"the package {needed} is not installed")
        if name not in built:
            built[name] = corpus_trees.TREES[name](tmp_path_factory.mktemp(name.replace("-", "_")))
        return built[name]

    return root


@pytest.fixture(scope="module")
def truths(roots):
    """Raw labels of each tree by id, read at first use."""
    known: dict[str, dict[str, str]] = {}

    def truth(name: str) -> dict[str, str]:
        if name not in known:
            known[name] = {u.id: u.raw_label for u in module(name).read(roots(name)).utterances}
        return known[name]

    return truth


@pytest.mark.parametrize("name", NAMES)
def test_reads_its_tree(name, roots):
    corpus = module(name).read(roots(name))
    assert isinstance(corpus, Corpus)
    assert (corpus.reader or corpus.name) == name
    assert corpus.release
    assert corpus.utterances
    labels = corpus.labels()
    assert labels
    assert set(corpus.classes()) == set(labels.values())
    for u in corpus.utterances:
        assert audio.is_file(u.path), u
        assert not any(part.startswith(".") for part in u.path.relative_to(corpus.root).parts)
        assert u.sex in ("", "F", "M")
        assert (
            u.soft_label is None or sum(u.soft_label.values()) == pytest.approx(1) or name.startswith("hume")
        )
    assert [u.id for u in corpus.utterances] == sorted(u.id for u in corpus.utterances)
    assert corpus.info.official or not any(u.partition for u in corpus.utterances)
    assert bool(corpus.info.shares) == any(u.soft_label for u in corpus.utterances)
    for subset in corpus.info.subsets.values():
        assert all(isinstance(subset.holds(u), bool) for u in corpus.utterances[:20])


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_given_where_they_are_promised(name, roots):
    corpus = module(name).read(roots(name))
    for task, promised in (("avd", corpus.info.attribute_range), ("shares", corpus.info.shares)):
        if promised:
            found = corpus.targets(task)
            assert found
            assert {len(values) for values in found.values()} == {len(corpus.target_names(task))}
            assert all(0 <= value <= 1 for values in found.values() for value in values)
        else:
            with pytest.raises(UnknownNameError, match=f"'{task}' of {corpus.name}"):
                corpus.targets(task)


@pytest.mark.parametrize("name", NAMES)
def test_a_label_map_of_the_users_own_gives_the_same_as_the_corpus(name, roots, tmp_path):
    corpus = module(name).read(roots(name))
    used = {
        raw: c for raw, c in corpus.label_map().items() if raw in {u.raw_label for u in corpus.utterances}
    }
    path = tmp_path / "map.toml"
    path.write_text("[labels]\n" + "".join(f"{json.dumps(k)} = {json.dumps(v)}\n" for k, v in used.items()))
    assert corpus.labels(str(path)) == corpus.labels()
    assert corpus.labels(corpus.task_name(str(path))) == corpus.labels()


@pytest.mark.parametrize("name", NAMES)
def test_a_partial_copy_is_reported_not_refused(name, roots):
    corpus = module(name).read(roots(name))
    if corpus.info.published:
        assert corpus.warnings
        assert all("\n" not in line for line in corpus.warnings)
        assert all(result.digest != "match" for result in check(corpus))


@pytest.mark.parametrize("name", NAMES)
def test_order_of_listing_does_not_matter(name, roots, monkeypatch):
    before = module(name).read(roots(name))
    real_walk, real_iterdir = os.walk, Path.iterdir

    def backwards(top, **options):
        for folder, folders, files in real_walk(top, **options):
            folders.reverse()
            yield folder, folders, sorted(files, reverse=True)

    monkeypatch.setattr(os, "walk", backwards)
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(sorted(real_iterdir(self), reverse=True)))
    assert module(name).read(roots(name)) == before


@pytest.mark.parametrize("name", [n for n in NAMES if not module(n).INFO.generated])
@pytest.mark.parametrize("fault", ["empty", "missing", "file", "other"])
def test_a_root_that_is_not_the_corpus_is_refused_in_one_line(name, fault, tmp_path):
    root = tmp_path / "root"
    if fault in ("empty", "other"):
        root.mkdir()
    if fault == "other":
        corpus_trees.write_wav(root / "holiday" / "beach.wav")
        corpus_trees.write_text(root / "notes.txt", "nothing")
    if fault == "file":
        root.write_bytes(b"x")
    with pytest.raises(CorpusError) as caught:
        module(name).read(root)
    message = str(caught.value)
    assert str(root) in message
    assert "\n" not in message


def read_or_message(name: str, root: Path) -> Corpus | str:
    """The corpus, or the line that refuses it."""
    try:
        return module(name).read(root)
    except SercacheError as error:
        return str(error)


TEXTS = {".txt", ".csv", ".tsv", ".jsonl", ".json", ".ort", ".wdseg", ".yaml", ".csd"}


def damages(content: bytes) -> list[bytes]:
    """What may become of a label file: emptied, cut off, turned into other bytes, joined to one line."""
    draw = random.Random(len(content))
    junk = draw.randbytes(200)
    return [
        b"",
        content[: len(content) // 2],
        content[: len(content) - 3],
        junk,
        content + junk,
        content.replace(b"\n", b"\x00"),
        b'"' + content,
        b"\xff\xfe" + content,
    ]


@pytest.mark.parametrize("name", NAMES)
def test_damaged_label_files_give_a_refusal_or_fewer_labels_never_others(name, roots):
    """Every kind of text file of the tree is damaged in every way; audio files are left alone."""
    root = roots(name)
    truth = {u.id: u.raw_label for u in module(name).read(root).utterances}
    kinds = {
        (p.suffix, p.parent.name): p
        for p in sorted(root.rglob("*"))
        if p.suffix in TEXTS and p.name[0] != "."
    }
    for path in kinds.values():
        content = path.read_bytes()
        try:
            for damaged in damages(content):
                path.write_bytes(damaged)
                corpus = read_or_message(name, root)
                if isinstance(corpus, str):
                    assert "\n" not in corpus, (path, corpus)
                    continue
                for u in corpus.utterances:
                    assert u.raw_label in ("", truth.get(u.id)), (path, damaged[:80], u.id)
        finally:
            path.write_bytes(content)


OWN_LABELS = {name for name in NAMES if module(name).INFO.own}
"""Corpora whose labels are any words, so that changed bytes may well be another label."""


def text_files(root: Path) -> list[Path]:
    """One file of each kind that a reader may parse, by suffix and folder."""
    found = sorted(p for p in root.rglob("*") if p.suffix in TEXTS and p.name[0] != ".")
    return sorted({(p.suffix, p.parent.name): p for p in found}.values())


@pytest.mark.parametrize("name", [n for n in NAMES if n not in OWN_LABELS])
@given(data=st.data())
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_bytes_give_a_refusal_or_fewer_labels_never_others(name, roots, truths, data):
    """A label file is replaced by any bytes, cut off anywhere, or gets bytes that are no text anywhere."""
    root = roots(name)
    files = text_files(root)
    if not files:
        return
    path = data.draw(st.sampled_from(files))
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content)))
    high = st.binary(min_size=1, max_size=4).map(lambda b: bytes(128 | c for c in b))
    damaged = data.draw(
        st.one_of(
            st.binary(max_size=200),
            st.just(content[:place]),
            high.map(lambda junk: content[:place] + junk + content[place:]),
        )
    )
    try:
        path.write_bytes(damaged)
        corpus = read_or_message(name, root)
    finally:
        path.write_bytes(content)
    if isinstance(corpus, str):
        assert "\n" not in corpus
        return
    for u in corpus.utterances:
        assert u.raw_label in ("", truths(name).get(u.id)), (path, u.id)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_cannot_be_listed_is_named(name, roots, monkeypatch):
    """It was passed over, and a part of a corpus taken for the corpus."""
    root = roots(name)
    if root.is_file():
        root = root.parent
    inside = [path for path in root.rglob("*") if path.is_dir()]
    chosen, asked = os.fspath(max(inside, key=lambda path: len(list(path.glob("*.*"))), default=root)), []

    def failing(call):
        def do(path="."):
            if str(path) == chosen:
                asked.append(path)
                raise OSError(errno.EIO, os.strerror(errno.EIO), chosen)
            return call(path)

        return do

    monkeypatch.setattr(os, "scandir", failing(os.scandir))
    monkeypatch.setattr(os, "listdir", failing(os.listdir))
    said = ""
    try:
        module(name).read(roots(name))
    except SercacheError as fault:
        said = str(fault)
    assert bool(said) is bool(asked)
    assert not said or f"{chosen} cannot be read: Input/output error; see whether the disk is sound" in said


@pytest.mark.parametrize("name", NAMES)
def test_hidden_files_are_ignored(name, roots, tmp_path):
    corpus = module(name).read(roots(name))
    assert not [u for u in corpus.utterances if u.path.name.startswith(".")]
    assert not [s for s in corpus.skipped if "/._" in s.what or "__MACOSX" in s.what]


def plain(value):
    """Mappings and sequences of one kind, so that they can be compared."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def labelled(corpus, task):
    """The labels of a task, or why there are none."""
    try:
        return corpus.labels(task)
    except CorpusError as fault:
        return str(fault)


@pytest.mark.parametrize("name", NAMES)
def test_the_table_that_a_store_carries_says_what_the_folder_says(name, roots):
    corpus = module(name).read(roots(name))
    told = json.loads(json.dumps(list(datasets.to_values(corpus, texts=True)), allow_nan=False))
    back = datasets.from_values(told, Path("/store"))
    for mine, theirs in zip(back.utterances, corpus.utterances, strict=True):
        assert dataclasses.replace(mine, path=Path()) == dataclasses.replace(theirs, path=Path())
    for field in ("name", "release", "reader", "skipped", "warnings", "reader_sha256", "dataset"):
        assert getattr(back, field) == getattr(corpus, field), field
    for field in dataclasses.fields(CorpusInfo):
        if field.name not in ("subsets", "published", "licence_id"):
            assert plain(getattr(back.info, field.name)) == plain(getattr(corpus.info, field.name)), (
                field.name
            )
    parts = [f"{corpus.info.default_task}@{subset}" for subset in corpus.info.subsets]
    for task in (*corpus.info.tasks, *corpus.info.setups, *parts):
        assert labelled(back, task) == labelled(corpus, task), task
