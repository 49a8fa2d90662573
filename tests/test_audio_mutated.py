"""Damaged files of every kind: none crashes, hangs or fills the memory, and no part is taken for the whole."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import linux  # noqa: F401 - skipped elsewhere
import pytest
import sound_files
import soundfile
from sound_files import RATE

from sercache import audio
from sercache.errors import AudioError

SLOWEST = 20.0
"""Seconds for one file of a second, on a busy machine."""
MEMORY = 256 * 2**20
"""Bytes beyond what Python and its libraries take."""


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return sound_files.every_kind(tmp_path_factory.mktemp("kinds"), 1.0)


def test_every_kind_is_read_whole(kinds: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    assert len({path.suffix for path in kinds}) >= 20
    for path in kinds:
        remarks: list[audio.Remark] = []
        info = audio.probe(path)
        wave = audio.read(path, info.rate, tell=remarks.append)
        assert len(wave) == info.n_samples >= RATE / 2, path.name
        assert {remark.kind for remark in remarks} <= {"unverified"}, path.name
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_every_kind_that_states_a_length_shows_a_cut(kinds: list[Path], tmp_path: Path, share: float) -> None:
    for path in kinds:
        whole = path.read_bytes()
        cut = tmp_path / path.name
        cut.write_bytes(whole[: int(share * len(whole))])
        remarks: list[audio.Remark] = []
        try:
            audio.read(cut, RATE, tell=remarks.append)
        except AudioError:
            continue
        assert "unverified" in {remark.kind for remark in remarks}, path.name


def look(paths: list[Path], folder: Path, seeds: range) -> Counter[str]:
    """What became of damaged files. Raises AssertionError where a part was taken for the whole."""
    found: Counter[str] = Counter()
    for seed in seeds:
        source = paths[seed // len(sound_files.HOW) % len(paths)]
        how, data = sound_files.mutated(source.read_bytes(), seed)
        path = folder / f"{seed}{source.suffix}"
        path.write_bytes(data)
        began = time.monotonic()
        remarks: list[audio.Remark] = []
        what = f"{source.name}, {how}, seed {seed}"
        try:
            info = audio.probe(path)
            audio.read(path, RATE, tell=remarks.append)
        except AudioError as fault:
            if str(path) not in str(fault) or "\n" in str(fault):
                raise AssertionError(what) from fault
            found[fault.kind] += 1
        else:
            found[remarks[0].kind if remarks else "read"] += 1
            held = info.n_samples * info.channels
            # A header that names another coding makes other samples of all bytes, which nothing tells.
            if not remarks and held < 0.99 * audio.probe(source).n_samples:
                assert soundfile.info(path).subtype != soundfile.info(source).subtype, what
        assert time.monotonic() - began < SLOWEST, what
        path.unlink()
    return found


def test_some_damaged_files(kinds: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = look(kinds, tmp_path, range(len(kinds) * 2))
    assert min(found["read"], found["truncated"], found["unreadable"]) > 0
    assert capfd.readouterr() == ("", "")


IN_A_PROCESS = """
import json, resource, sys
from pathlib import Path
import blake3, soxr
sys.path.insert(0, sys.argv[1])
from test_audio_mutated import look
paths = [Path(name) for name in json.loads(sys.argv[3])]
look(paths, Path(sys.argv[2]), range(1))
held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = look(paths, Path(sys.argv[2]), range(int(sys.argv[4])))
print(json.dumps([found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held]))
"""


@pytest.mark.slow
def test_two_thousand_damaged_files(kinds: list[Path], tmp_path: Path) -> None:
    names = json.dumps([str(path) for path in kinds])
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS, here, str(tmp_path), names, "2000"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, grown = json.loads(done.stdout)
    assert sum(found.values()) == 2000
    assert grown * (1 if sys.platform == "darwin" else 1024) < MEMORY
    assert done.stderr == ""
