"""Every table of the papers from start to finish: generated corpora, tiny checkpoints under the real names."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome
from paper_world import make_corpora, make_hub

from sercache import settings
from sercache.report import runs as run_folders

Sercache = Callable[..., Outcome]
QUICK = ("--set", "max-epochs=1", "--seeds", "1")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``corpora``, the hub cache ``hub`` and a feature cache that all tests share."""
    folder = tmp_path_factory.mktemp("world")
    make_corpora(folder / "corpora")
    make_hub(folder)
    return folder


@pytest.fixture
def roots(world: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Roots of all corpora; the hub cache is in force, the roots are not yet."""
    monkeypatch.setenv("HF_HOME", str(world))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(world / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    found = {path.name: path for path in (world / "corpora").iterdir()}
    return {**found, "iemocap": found["iemocap"] / "IEMOCAP_full_release"}


@pytest.fixture
def give(
    own_settings: Path, world: Path, roots: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Points sercache to corpora by name, or to all."""

    def point(*names: str) -> None:
        monkeypatch.setenv("SERCACHE_CACHE", str(world / "cache"))
        for name in names or roots:
            monkeypatch.setenv(settings.root_variable(name), str(roots[name]))

    return point


def cells(folder: Path, stem: str) -> list[dict[str, str]]:
    [path] = folder.glob(f"{stem}*.csv")
    with path.open() as file:
        return list(csv.DictReader(file))


def test_without_a_table_all_are_listed(sercache: Sercache) -> None:
    code, out, err = sercache("reproduce")
    assert code == 0, err
    for part in ("pepino2021", "figure7", "0 of 4", "iemocap, esd", "sercache reproduce PAPER TABLE"):
        assert part in out
    assert "chen2022" not in sercache("reproduce", "pepino").out


@pytest.mark.slow
def test_ioannides_table2(sercache: Sercache, give: Callable[..., None], tmp_path: Path) -> None:
    give("emodb")
    code, out, err = sercache("reproduce", "ioannides2023", "table2")
    assert code == 0, err
    for number in ("0.6412", "0.6492", "0.6625", "0.6762", "0.6865", "0.7062", "0.6578 ± 0.0210", "0.7291", "0.7376",
                   "0.7432"):  # fmt: skip
        assert number in out
    assert out.count("missing: ") == 1, "IEMOCAP is named once, not once for each row"
    assert "sercache config roots.iemocap=FOLDER" in out
    give("iemocap")
    table2 = ("reproduce", "ioannides2023", "table2", *QUICK)
    code, out, err = sercache(*table2)
    assert code == 0, err
    assert "sercache config roots.esd=FOLDER" in out
    assert "NOT the paper's settings, changed: max-epochs=1; at most 1 seeds" in out
    folder = tmp_path / "runs" / "ioannides2023"
    assert len(run_folders.find(folder)) == 3
    give("esd")
    code, out, err = sercache(*table2)
    assert code == 0, err
    assert out.count("kept      ") == 3, "finished trials are never computed again"
    assert "missing: " not in out
    v2 = [run for path in run_folders.find(folder) if (run := run_folders.load(path)).also_trained]
    assert [run.also_trained[0]["name"] for run in v2] == ["esd"]
    stem = "table2.max-epochs=1.at-most-1-seeds"
    assert all((folder / f"{stem}{suffix}").exists() for suffix in (".md", ".csv", ".tex"))
    rows = {row["row"]: row for row in cells(folder, stem)}
    ours = rows["Attention-Guided-HuBERT-Base"]
    assert float(ours["difference"]) == pytest.approx(float(ours["ours"]) - 0.6578)
    assert ours["within 2 std"].endswith("(printed std)")
    assert rows["LightHuBERT-Small"]["ours"] == ""
