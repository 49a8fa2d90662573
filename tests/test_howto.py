"""The how-to pages say what the protocols say, and what they have one type works."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import howto
import numpy as np
import pytest
import soundfile
from conftest import Outcome

Sercache = Callable[..., Outcome]
TOP = Path(__file__).parents[1]
PACKAGE = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "strangers"
version = "1.0"

[project.entry-points."sercache.heads"]
my-head = "strangers.my_head"

[project.entry-points."sercache.datasets"]
my-corpus = "strangers.my_corpus"

[project.entry-points."sercache.encoders"]
my-encoder = "strangers.my_encoder"

[tool.setuptools]
packages = ["strangers"]
"""


@pytest.mark.parametrize("page", ["head.md", "corpus.md", "encoder.md"])
def test_the_contract_on_a_page_is_that_of_the_protocols(page: str) -> None:
    text = (howto.PAGES / page).read_text(encoding="utf-8")
    assert text.partition(howto.BEGIN)[2].partition(howto.END)[0].strip() == howto.contract(page), (
        "run: python tests/howto.py"
    )


@pytest.mark.parametrize(
    "page",
    [
        "label_map.md",
        "protocol.md",
        "interchange.md",
        pytest.param("corpus.md", marks=pytest.mark.slow),
        pytest.param("head.md", marks=pytest.mark.slow),
        pytest.param("encoder.md", marks=pytest.mark.slow),
        pytest.param("cluster.md", marks=pytest.mark.slow),
        pytest.param("compare.md", marks=pytest.mark.slow),
        pytest.param("page.md", marks=pytest.mark.slow),
        pytest.param("track.md", marks=pytest.mark.slow),
        pytest.param("augment.md", marks=pytest.mark.slow),
        pytest.param("table.md", marks=pytest.mark.slow),
        pytest.param("layers.md", marks=pytest.mark.slow),
        pytest.param("finetune.md", marks=pytest.mark.slow),
        pytest.param("predict.md", marks=pytest.mark.slow),
        pytest.param("../index.md", marks=pytest.mark.slow),
    ],
)
def test_what_a_page_has_one_type_works(
    page: str, sercache: Sercache, own_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(howto.write(own_settings / "work"))
    lines = howto.commands(page)
    assert lines
    for line in lines:
        program, *words = shlex.split(line)
        if program == "python":
            _run_python(*words)
            continue
        quick = ["--seeds", "1", "--set", "max-epochs=2"] if " train " in line else []
        done = sercache(*words, *quick)
        assert done.code == 0, f"{line}: {done.err}"
        if "--example" in words:
            _give_voices(Path(words[-1]))
    if howto.code(page):
        Path("page.py").write_text(f"import sercache\n{howto.code(page)}", encoding="utf-8")
        _run_python("page.py")


def _run_python(*words: str) -> None:
    """As a reader of a page runs a file of it. What the reader has in the current folder is found."""
    there = {"PYTHONPATH": os.pathsep.join(filter(None, [str(TOP), os.environ.get("PYTHONPATH")]))}
    done = subprocess.run(
        [sys.executable, *words], env=os.environ | there, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _give_voices(root: Path) -> None:
    """Put sound of its own into every recording: tones of one pitch would be equal sound across parts."""
    for path in root.rglob("*.wav"):
        if not path.name.startswith(".") and "__MACOSX" not in path.parts:
            chance = np.random.default_rng(zlib.crc32(path.relative_to(root).as_posix().encode()))
            least = soundfile.info(path).frames  # stretches of it may be listed
            soundfile.write(
                path, chance.normal(0, 0.1, max(least, int(16000 * chance.uniform(0.2, 0.5)))), 16000
            )


def test_pages_can_be_done_in_any_order() -> None:
    pages = [page.name for page in howto.PAGES.glob("*.md")]
    files = [fence.file for page in pages for fence in howto.fences(howto.PAGES / page) if fence.file]
    assert len(files) == len(set(files)) > 4
    written = [
        words[-1]
        for page in pages
        for words in map(shlex.split, howto.commands(page))
        if "--example" in words
    ]
    assert len(written) == len(set(written)) > 2


@pytest.mark.slow
def test_a_package_with_one_of_each_is_installed_and_trained(tmp_path: Path) -> None:
    source = tmp_path / "source"
    howto.write(source / "strangers", "my_head.py", "my_corpus.py", "my_encoder.py")
    (source / "strangers" / "__init__.py").touch()
    (source / "pyproject.toml").write_text(PACKAGE)
    target = tmp_path / "installed"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
    ]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True)

    places = {"CONFIG": "config.toml", "CACHE": "cache", "RUNS": "runs"}
    own = {f"SERCACHE_{name}": str(tmp_path / place) for name, place in places.items()}
    env = {**os.environ, **own, "PYTHONPATH": os.pathsep.join([str(target), str(TOP)])}

    def sercache(*arguments: str) -> str:
        call = [sys.executable, "-m", "sercache.cli", *arguments]
        done = subprocess.run(call, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    for command, name in {"heads": "my-head", "datasets": "my-corpus", "encoders": "my-levels"}.items():
        assert name in sercache(command)
        assert name in sercache(command, name)
    for name in ("my-head", "my-corpus", "my-encoder"):
        assert "FAULT" not in sercache("check", name)
    sercache("datasets", "my-corpus", "--example", "there")
    sercache(
        "extract", "--encoder", "my-levels", "--dataset", "my-corpus", "--root", "there", "--device", "cpu"
    )
    sercache(
        "train", "--head", "my-head", "--dataset", "my-corpus", "--encoder", "my-levels", "--states", "all",
        "--protocol", "leave-one-speaker-out", "--seeds", "1", "--set", "max-epochs=2", "--name", "theirs",
    )  # fmt: skip
    assert "my-head" in sercache("report", "runs/theirs")
