"""The tests as other processors compute them, one setting after another, and a row of what came of each as it ends.

    make test-processors                                 the fast tier in every setting
    python tests/processors.py --numbers avx2 threads    tests of numbers alone, in these settings

Tests of numbers are those of training, heads, views and encoders; others of the suite compute little. Without
``--numbers`` a setting takes the whole fast tier, since commands train and encode too.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SETTINGS: dict[str, dict[str, str]] = {
    "default": {"ATEN_CPU_CAPABILITY": "default"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "avx512": {"ATEN_CPU_CAPABILITY": "avx512"},
    "avx2 libraries": {"MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "threads": {"OMP_NUM_THREADS": "2"},
    "oldest": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "Nehalem",
    },
}
"""By name, what makes torch and its libraries compute as another processor does."""
_NUMERIC = re.compile(r"training|heads|nn|layer_attention|golden|solved|views|evaluation|encoders|extraction")


def lacks(name: str) -> str | None:
    """Why this processor cannot compute in a setting; None where it can."""
    wanted = SETTINGS[name].get("ATEN_CPU_CAPABILITY")
    if wanted in (None, "default"):
        return None
    code = "import torch; print(torch.backends.cpu.get_cpu_capability().lower())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_env(name)
    )
    has = done.stdout.strip()
    return None if has == wanted else f"this processor has no {wanted}, torch computes with {has}"


@dataclass(frozen=True)
class Tested:
    """What came of a setting."""

    setting: str
    outcome: str
    """``ok``, ``FAILED`` or ``skipped``."""
    passed: int = 0
    failed: int = 0
    """Errors included."""
    seconds: float = 0.0
    said: str = ""
    """Why there are no counts."""

    def __str__(self) -> str:
        counts = f"{self.passed:8}{self.failed:8}{self.seconds:9.0f}"
        variables = " ".join(f"{key}={value}" for key, value in SETTINGS[self.setting].items())
        return f"{self.setting:16}{self.outcome:9}{counts}  {self.said or variables}"


HEADER = f"{'setting':16}{'outcome':9}{'passed':>8}{'failed':>8}{'seconds':>9}"


def run(name: str, files: list[str]) -> Tested:
    """The tests in a setting; those that failed are printed by name."""
    began = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "auto",
        "--dist",
        "loadfile",
        "-m",
        "not slow",
        *files,
    ]
    done = subprocess.run(command, cwd=HERE.parent, env=_env(name), capture_output=True, text=True)
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["nothing was said"]
    for line in lines:
        if line.startswith(("FAILED", "ERROR", "INTERNALERROR")):
            print(f"{name}: {line}", flush=True)
    return row(name, done.returncode, lines[-1].strip("= "), time.monotonic() - began)


def row(name: str, status: int, said: str, seconds: float) -> Tested:
    """The row of a setting by pytest's exit status and last line: ``1 failed, 12 passed, 1 error in 3.21s``."""
    counts = {
        word.rstrip("s"): int(count) for count, word in re.findall(r"(\d+) (passed|failed|errors?)", said)
    }
    failed = counts.get("failed", 0) + counts.get("error", 0)
    told = "" if counts else said
    return Tested(name, "FAILED" if status else "ok", counts.get("passed", 0), failed, seconds, told)


def _env(name: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **SETTINGS[name]}


def main() -> int:
    """1 where a setting failed."""
    parser = argparse.ArgumentParser(description="The tests as other processors compute them.")
    parser.add_argument(
        "settings", nargs="*", metavar="SETTING", help=f"of {', '.join(SETTINGS)}; default: all"
    )
    parser.add_argument("--numbers", action="store_true", help="only files whose numbers a processor decides")
    given = parser.parse_args()
    unknown = [name for name in given.settings if name not in SETTINGS]
    if unknown:
        parser.error(f"there is no setting {unknown[0]!r}; expected one of {', '.join(map(repr, SETTINGS))}")
    every = sorted(HERE.glob("test_*.py"))
    files = [str(path) for path in every if _NUMERIC.search(path.stem)] if given.numbers else []
    failed = False
    print(HEADER, flush=True)
    for name in given.settings or SETTINGS:
        why = lacks(name)
        found = Tested(name, "skipped", said=why) if why else run(name, files)
        failed |= found.outcome == "FAILED"
        print(found, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
