"""The notebook's cells run as they stand; the README's Python lines are those of the notebook."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import howto
import nbformat
import pytest
import soundfile
from test_line import give_voices

from sercache import catalog, cli

TOP = Path(__file__).parents[1]


def code_cells(name: str = "example") -> list[str]:
    book = nbformat.read(TOP / "docs" / f"{name}.ipynb", as_version=4)
    return [cell.source for cell in book.cells if cell.cell_type == "code"]


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    script = tmp_path / "notebook.py"
    script.write_text("\n".join(code_cells()))
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "frames (L, T, D):" in done.stdout


@pytest.mark.slow
def test_the_notebook_on_layers_runs_on_other_speech(tmp_path: Path) -> None:
    """Its cells as they stand, on small tones and a Whisper of the tests: what they gave on speech stands in it."""
    import torch
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    catalog.load("sercache.datasets", "emodb").example(tmp_path / "emodb")
    give_voices(tmp_path / "emodb")
    torch.manual_seed(1)
    size = {"d_model": 16, "encoder_layers": 4, "decoder_layers": 1, "vocab_size": 51865}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    ffn = {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    WhisperModel(WhisperConfig(**size, **heads, **ffn)).save_pretrained(tmp_path / "whisper-tiny-en")
    WhisperFeatureExtractor().save_pretrained(tmp_path / "whisper-tiny-en")
    script = tmp_path / "notebook.py"
    script.write_text("import matplotlib\nmatplotlib.use('Agg')\n" + "\n".join(code_cells("layers")))
    own = {f"SERCACHE_{name.upper()}": str(tmp_path / name) for name in ("cache", "runs", "config")}
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "40 utterances, states" in done.stdout
    assert "mean over 30 trainings" in done.stdout


@pytest.mark.parametrize("name", ["example", "layers"])
def test_a_notebook_holds_the_cells_of_its_script_as_they_were_executed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(TOP / "docs"))
    cells = importlib.import_module(f"make_{name}").CELLS
    book = nbformat.read(TOP / "docs" / f"{name}.ipynb", as_version=4)
    assert [(cell.cell_type, cell.source) for cell in book.cells] == cells, f"run docs/make_{name}.py"
    assert (TOP / "docs" / f"{name}.ipynb").stat().st_size < 300_000
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert len(outputs) > len(cells) / 3
    assert not [output for output in outputs if output.output_type == "error"]
    assert not re.search(r"/(home|root|tmp|work|Users)/", str(outputs)), "a folder of somebody's machine"


def test_readme_calls_what_the_notebook_calls() -> None:
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    calls = re.findall(r"sercache\.\w+", block)
    assert calls == re.findall(r"sercache\.\w+", code_cells()[0])


@pytest.mark.slow
def test_the_page_on_python_runs(recordings: Path, tmp_path: Path) -> None:
    for place in ("calls", "evening"):
        shutil.copytree(recordings.parent, tmp_path / place)
    for path in (tmp_path / "evening").glob("*.wav"):  # other recordings, of the same kind
        wave, rate = soundfile.read(path)
        soundfile.write(path, 0.9 * wave[::-1], rate)
    blocks = re.findall(r"```python\n(.*?)```", (TOP / "docs" / "python.md").read_text(), re.DOTALL)
    (tmp_path / "page.py").write_text("\n".join(blocks))
    own = {f"SERCACHE_{name.upper()}": str(tmp_path / name) for name in ("cache", "runs", "config")}
    command = [sys.executable, "-W", "error::UserWarning", "page.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | own, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stdout
    assert "Result(linear on logmel, calls" in done.stdout


def test_the_readme_is_read_as_text_too() -> None:
    """Lines fit a window of 120 columns, but for tables; the first screen says what it is and what to type."""
    lines = (TOP / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []
    assert any(line.startswith("make demo") for line in lines[:24])


def test_what_the_readme_has_one_type_first_is_taken() -> None:
    first = (TOP / "README.md").read_text(encoding="utf-8").partition("What you can rely on")[0]
    commands = [shlex.split(each)[1:] for each in re.findall(r"`(sercache [^`]+)`", first)]
    assert len(commands) > 10
    for name, *arguments in commands:
        cli.cli.commands[name].make_context(name, arguments)


def test_the_picture_is_of_the_demo() -> None:
    picture = (TOP / "docs" / "demo.svg").read_text(encoding="utf-8")
    assert "docs/demo.svg" in (TOP / "README.md").read_text(encoding="utf-8")
    assert len(picture) < 100_000
    for name in re.findall(r"--name (\S+)", (TOP / "Makefile").read_text(encoding="utf-8")):
        assert f">{name}</text>" in picture, "run: make demo, then python docs/make_picture.py"


def test_links_lead_somewhere() -> None:
    made = {TOP / "docs" / page for page in howto.navigation()}  # some exist on the site alone: test_site.py
    for page in [TOP / "README.md", *(TOP / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                place = (page.parent / target).resolve()
                assert place.exists() or place in made, f"{page.name}: {target}"


def test_decisions_are_listed_and_have_numbers_of_their_own() -> None:
    folder = TOP / "docs" / "decisions"
    names = sorted(page.name for page in folder.glob("[0-9]*.md"))
    numbers = [name[:4] for name in names]
    assert len(set(numbers)) == len(numbers), f"a number stands twice: {numbers}"
    listed = re.findall(r"^- \[\d{4}\]\(([^)]+)\): ", (folder / "README.md").read_text("utf-8"), re.MULTILINE)
    assert listed == names


def test_no_line_of_the_changelog_stands_twice() -> None:
    text = (TOP / "CHANGELOG.md").read_text(encoding="utf-8")
    points = [" ".join(point.split()) for point in re.split(r"^- ", text, flags=re.MULTILINE)[1:]]
    begun = [point[:40] for point in points]
    assert len(set(begun)) == len(begun), sorted(each for each in begun if begun.count(each) > 1)
    assert not [point for point in points if not point.endswith((".", ":"))], "a line is cut off"
