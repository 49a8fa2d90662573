"""Heads, corpora and encoders of other people: from a file, from another package, from a class in Python."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import howto
import pytest
from conftest import Outcome

import sercache as library
from sercache import catalog, datasets, encoders
from sercache.errors import ContractError, SercacheError, UnknownNameError
from sercache.head import version_of
from sercache.record import Report
from sercache.report import runs

Sercache = Callable[..., Outcome]
QUICK = ["--set", "max-epochs=2", "--seeds", "1"]
ROOMS = {
    "my_head.py": "sercache.heads",
    "my_corpus.py": "sercache.datasets",
    "my_encoder.py": "sercache.encoders",
}


@pytest.fixture
def files(own_settings: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that one works in, with the files of the how-to pages."""
    folder = howto.write(own_settings / "work")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def extracted(sercache: Sercache, files: Path) -> Path:
    """The same, with an example of the corpus and its features of the encoder."""
    datasets.read(
        "./my_corpus.py", catalog.load("sercache.datasets", "./my_corpus.py").example(files / "there")
    )
    done = sercache(
        "extract", "--encoder", "./my_encoder.py", "--dataset", "./my_corpus.py", "--root", "there", "--device", "cpu"
    )  # fmt: skip
    assert done.code == 0, done.err
    return files


def trained(sercache: Sercache, *more: str) -> Report:
    done = sercache(
        "train", "--head", "./my_head.py", "--dataset", "./my_corpus.py", "--encoder", "./my_encoder.py", "--states",
        "all", "--protocol", "leave-one-speaker-out", "--name", "mine", *QUICK, *more,
    )  # fmt: skip
    assert done.code == 0, done.err
    return runs.load(Path("../runs/mine"))


def test_a_head_a_corpus_and_an_encoder_from_files_are_trained_and_evaluated(
    sercache: Sercache, extracted: Path
) -> None:
    report = trained(sercache)
    assert (report.head, report.corpus["name"], report.setup["encoder"]) == (
        "my-head",
        "my-corpus",
        "my-levels",
    )
    assert report.title.startswith("my-head on my-levels, my-corpus")
    assert report.head_file == str(extracted / "my_head.py")
    assert runs.load(Path("../runs/mine")).to_json() == report.to_json()

    other = extracted / "your_corpus.py"
    other.write_text(
        (extracted / "my_corpus.py").read_text().replace("my-corpus", "your-corpus").replace('"ann"', '"eve"')
    )
    library.read_corpus(
        "./your_corpus.py", catalog.load("sercache.datasets", str(other)).example(extracted / "b")
    )
    done = sercache(
        "extract", "--encoder", "./my_encoder.py", "--dataset", "./your_corpus.py", "--root", "b", "--device", "cpu"
    )  # fmt: skip
    assert done.code == 0, done.err
    done = sercache("evaluate", "../runs/mine", "--dataset", "./your_corpus.py", "--duplicates", "keep")
    assert done.code == 0, done.err
    assert "your-corpus" in done.out


def test_the_file_decides_what_a_run_is(sercache: Sercache, extracted: Path) -> None:
    first = trained(sercache)
    assert first.experiment is not None
    digest = first.experiment.head_version
    assert digest == version_of(catalog.load("sercache.heads", "./my_head.py").Head)

    file = extracted / "my_head.py"
    file.write_text(file.read_text().replace("hidden: int = 64", "hidden: int = 32"))
    assert version_of(catalog.load("sercache.heads", "./my_head.py").Head) != digest
    with pytest.raises(ContractError, match="not the file that it was"):
        catalog.load("sercache.heads", *first.head_source)

    encoder = extracted / "my_encoder.py"
    before = encoders.identify("./my_encoder.py")
    assert before == encoders.load("./my_encoder.py").identity
    encoder.write_text(encoder.read_text() + "\n# another one\n")
    assert encoders.identify("./my_encoder.py") != before
    done = sercache(
        "train",
        "--head",
        "linear",
        "--dataset",
        "./my_corpus.py",
        "--encoder",
        "./my_encoder.py",
        "--states",
        "all",
    )
    assert done.code == 2
    assert "run: sercache extract" in done.err


def test_what_an_edited_file_gives_is_never_what_it_gave_before(files: Path) -> None:
    """Python's own cache of compiled files goes by seconds and size."""
    file, found = files / "my_head.py", []
    for number in (1, 2, 3):
        file.write_text(howto.files()["my_head.py"] + f"\nNUMBER = {number}\n")
        found.append(catalog.load("sercache.heads", str(file)).NUMBER)
    assert found == [1, 2, 3]
    assert catalog.load("sercache.heads", str(file)) is catalog.load("sercache.heads", "my_head.py")
    assert not (files / "__pycache__").exists()


def test_a_corpus_from_a_file_can_be_sent_to_another_process(files: Path) -> None:
    root = catalog.load("sercache.datasets", "./my_corpus.py").example(files / "there")
    corpus = datasets.read("./my_corpus.py", root)
    assert pickle.loads(pickle.dumps(corpus)) == corpus
    assert corpus.dataset == str(files / "my_corpus.py")
    assert datasets.split_task("./my_corpus.py:3class") == ("./my_corpus.py", "3class")


@pytest.mark.slow
def test_processes_for_several_devices_load_the_files_too(sercache: Sercache, files: Path) -> None:
    catalog.load("sercache.datasets", "./my_corpus.py").example(files / "there")
    done = sercache(
        "extract", "--encoder", "./my_encoder.py", "--dataset", "./my_corpus.py", "--root", "there",
        "--devices", "cpu,cpu",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "24 entries encoded" in done.out


@pytest.mark.parametrize("name", ROOMS)
def test_a_file_called_as_one_of_sercache_is_refused(name: str, files: Path) -> None:
    taken = {"my_head.py": "linear.py", "my_corpus.py": "emodb.py", "my_encoder.py": "logmel.py"}[name]
    (files / name).rename(files / taken)
    with pytest.raises(ContractError, match=f"{taken} would be called {taken[:-3]}, which is a"):
        catalog.load(ROOMS[name], f"./{taken}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import nosuch", "line 1: ModuleNotFoundError: No module named 'nosuch'"),
        ("\nx = (", "line 2: SyntaxError"),
        ("raise SystemExit(3)", "line 1: SystemExit: 3"),
        ("\n\nx = 1 / 0", "line 3: ZeroDivisionError: division by zero"),
    ],
)
@pytest.mark.parametrize("room", ROOMS.values())
def test_a_file_that_cannot_be_loaded_is_one_line_with_its_number(
    text: str, says: str, room: str, tmp_path: Path
) -> None:
    file = tmp_path / "broken.py"
    file.write_text(text)
    with pytest.raises(ContractError, match=says) as caught:
        catalog.load(room, str(file))
    assert "\n" not in str(caught.value)
    assert not [name for name in sys.modules if name.startswith("sercache_file_broken")]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["heads", "./nosuch.py"], "there is no such file"),
        (["train", "--head", "my-haed"], "unknown head 'my-haed'"),
        (["train", "--head", "linaer"], "did you mean linear"),
        (["datasets", "./my_head.py"], "has no INFO"),
        (["heads", "./my_corpus.py"], "has no Head"),
        (["encoders", "./my_head.py"], "has no SHORT_NAMES"),
        (["encoders", "./my_encoder.py:big"], "unknown encoder of ./my_encoder.py 'big'"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_our_error(sercache: Sercache, files: Path, arguments: list[str], says: str) -> None:
    done = sercache(*arguments)
    assert done.code == 2
    assert says in done.err


def test_a_short_name_that_there_is_already_is_refused(files: Path) -> None:
    file = files / "my_encoder.py"
    file.write_text(file.read_text().replace("my-levels", "logmel"))
    with pytest.raises(ContractError, match="calls an encoder logmel, which there is already"):
        encoders.load(str(file))


def test_a_corpus_that_calls_itself_otherwise_is_refused(files: Path) -> None:
    root = catalog.load("sercache.datasets", "./my_corpus.py").example(files / "there")
    (files / "my_corpus.py").rename(files / "mine.py")
    with pytest.raises(ContractError, match="is called 'my-corpus', expected 'mine'"):
        datasets.read("./mine.py", root)


def test_a_class_is_trained_as_it_stands(extracted: Path) -> None:
    module = catalog.load("sercache.heads", "./my_head.py")
    corpus = library.read_corpus("./my_corpus.py", "there")
    store = library.extract(library.load_encoder("./my_encoder.py"), corpus, "../cache", progress=False)
    by_file = library.train("./my_head.py", store, corpus, states="all", recipe={"max_epochs": 2}, seeds=1)
    by_class = library.train(module.Head, store, corpus, states="all", recipe={"max_epochs": 2}, seeds=1)
    assert by_class.predictions == by_file.predictions

    class Narrow(module.Head):  # type: ignore[misc, name-defined]
        def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
            super().__init__(n_layers, dim, n_outputs, hidden=2)

    by_name = by_file.report
    report = library.train(Narrow, store, corpus, recipe={"max_epochs": 2}, seeds=1).report
    assert report.head == "narrow"
    assert report.experiment is not None
    assert by_name.experiment is not None
    assert report.experiment.head_version not in ("", by_name.experiment.head_version)
    assert report.setup["protocol"] == corpus.info.default_protocol


def package(folder: Path, name: str, **points: str) -> Path:
    """A package as pip leaves it in a folder, with an entry point of each group that is named."""
    code = folder / name
    howto.write(code)
    (code / "__init__.py").touch()
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"[sercache.{group}]\n{point}\n" for group, point in points.items()]
    (about / "entry_points.txt").write_text("\n".join(lines))
    return folder


def test_other_packages_offer_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = package(
        tmp_path,
        "theirs",
        heads="my-head = theirs.my_head",
        datasets="my-corpus = theirs.my_corpus",
        encoders="my-encoder = theirs.my_encoder",
    )
    monkeypatch.syspath_prepend(where)
    for room, name in {"heads": "my-head", "datasets": "my-corpus", "encoders": "my-encoder"}.items():
        assert name in catalog.names(f"sercache.{room}")
        assert name not in catalog.own_names(f"sercache.{room}")
    assert encoders.load("my-levels").identity["code_sha256"] == catalog.digest_of("theirs.my_encoder")
    assert (
        version_of(catalog.load("sercache.heads", "my-head").Head)
        == catalog.digest_of("theirs.my_head")
        != ""
    )
    root = catalog.load("sercache.datasets", "my-corpus").example(tmp_path / "root")
    corpus = datasets.read("my-corpus", root)
    assert corpus.dataset == "my-corpus"
    assert corpus.reader_sha256


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ({"heads": "linear = theirs.my_head"}, "theirs and sercache have a head linear"),
        ({"heads": "broken = theirs.nosuch"}, "the head broken of the package theirs cannot be loaded"),
        ({"heads": "broken = theirs.my_head:Head"}, "expected the name of a module"),
    ],
)
def test_what_a_package_does_wrong_is_our_error_and_names_it(
    points: dict[str, str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(package(tmp_path, "theirs", **points))
    name = points["heads"].partition(" ")[0]
    with pytest.raises(ContractError, match=says):
        catalog.load("sercache.heads", name)
    assert catalog.load("sercache.heads", "mlp")


def test_two_packages_with_one_name_are_told_apart_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("hers", "his"):
        monkeypatch.syspath_prepend(package(tmp_path / name, name, heads=f"ours = {name}.my_head"))
    with pytest.raises(ContractError, match="hers and his have a head ours"):
        catalog.load("sercache.heads", "ours")


def test_a_package_cannot_take_the_place_of_an_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = package(tmp_path, "rivals", encoders="their-encoder = rivals.my_encoder")
    file = where / "rivals" / "my_encoder.py"
    file.write_text(file.read_text().replace("my-levels", "logmel"))
    monkeypatch.syspath_prepend(where)
    assert encoders.load("logmel").identity["family"] == "logmel"
    with pytest.raises(ContractError, match="logmel is an encoder of logmel and of their-encoder"):
        encoders.short_names()


def test_unknown_names_of_files_keep_the_tree_of_errors() -> None:
    with pytest.raises(UnknownNameError, match="there is no such file"):
        catalog.load("sercache.heads", "./nosuch.py")
    assert issubclass(ContractError, SercacheError)


def test_listing_encoders_of_a_package_loads_no_torch(tmp_path: Path) -> None:
    where = package(tmp_path, "theirs", encoders="my-encoder = theirs.my_encoder")
    code = (
        "import sys; from sercache import encoders; assert 'my-levels' in encoders.short_names(); "
        "print('torch' in sys.modules)"
    )
    path = os.pathsep.join([str(where), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "False", done.stderr
