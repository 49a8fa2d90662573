"""The notebook's cells run as they stand; the README's Python lines are those of the notebook."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

TOP = Path(__file__).parents[1]


def code_cells() -> list[str]:
    book = nbformat.read(TOP / "docs" / "example.ipynb", as_version=4)
    return [cell.source for cell in book.cells if cell.cell_type == "code"]


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    script = tmp_path / "notebook.py"
    script.write_text("\n".join(code_cells()))
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "frames (L, T, D):" in done.stdout


def test_the_notebook_was_executed() -> None:
    book = nbformat.read(TOP / "docs" / "example.ipynb", as_version=4)
    for cell in book.cells:
        if cell.cell_type == "code":
            assert cell.outputs, "run docs/make_example.py"
            assert not [output for output in cell.outputs if output.output_type == "error"]


def test_readme_calls_what_the_notebook_calls() -> None:
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    calls = re.findall(r"sercache\.\w+", block)
    assert calls == re.findall(r"sercache\.\w+", code_cells()[0])


def test_links_lead_somewhere() -> None:
    for page in [TOP / "README.md", *(TOP / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
