"""One process of a command on a worker: started, watched, ended with the worker."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STOP = "stop"
"""File in the folder of a share: members end as after SIGTERM once it is there."""
PROGRESS = ".progress"
"""Of the file in which a member says how far it is; its name goes into what the member is given."""
BEGUN = ".begun"
"""Of the file in which a member says what work it has begun, a JSON line each; its name is among what it is given."""
STARTS = ".starts"
"""Of the file that has a line, the host's name, for each start of a member: engines start lost ones anew themselves."""
_LOOK_SECONDS = 0.5
GRACE_SECONDS = 30.0
"""For a process to commit what it has, before it is killed."""
_LAST_BYTES = 4096


@dataclass(frozen=True)
class Call:
    """What a member runs: sent to workers, so all of it is plain."""

    command: tuple[str, ...]
    """Program and arguments; standard input is a pipe, whose end tells that the worker is gone."""
    given: Mapping[str, Any]
    """JSON values, the first line of standard input; ``progress``, ``begun`` and ``leader`` are added."""
    folder: str
    """Absolute, seen by all: what members say (``<number>.out``, ``<number>.log``), and STOP."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Beside that of the worker."""
    directory: str | None = None
    """To run it in; None: that of the worker."""


@dataclass(frozen=True)
class Ended:
    """How a member ended."""

    number: int
    code: int
    """0: no work was left; negative: killed by that signal."""
    said: str
    """All of its standard output."""
    last: str
    """The last line on standard error."""
    host: str
    seconds: float


def run(call: Call, number: int, environment: Mapping[str, str]) -> Ended:
    """Run the command of a call to its end; what it says goes into ``<number>.out`` and ``<number>.log``.

    Idempotent, as engines need it: what was done before, here or elsewhere, is found.
    """
    folder = Path(call.folder)
    began, log = time.monotonic(), folder / f"{number}.log"
    with (folder / f"{number}{STARTS}").open("a", encoding="utf-8") as starts:
        starts.write(f"{platform.node()}\n")
    # What it said before it was lost is another's; the log keeps all.
    with (folder / f"{number}.out").open("wb") as out, log.open("ab") as err:
        process = subprocess.Popen(
            call.command,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            cwd=call.directory,
            env={**os.environ, **call.environment, **environment},
            start_new_session=True,  # a Ctrl-C in the terminal is told by the pipe and STOP alone
        )
        assert process.stdin is not None
        try:
            told = {**call.given, **_places(folder, number)}
            process.stdin.write(json.dumps(told).encode() + b"\n")
            process.stdin.flush()
            while process.poll() is None:
                if (folder / STOP).exists():
                    _end(process)
                time.sleep(_LOOK_SECONDS)
        except BrokenPipeError:  # it ended before it read
            process.wait()
        finally:
            _end(process)
            with suppress(BrokenPipeError):
                process.stdin.close()
    said = (folder / f"{number}.out").read_text(errors="replace")
    return Ended(number, process.returncode, said, _last_line(log), platform.node(), time.monotonic() - began)


def _places(folder: Path, number: int) -> dict[str, str]:
    """Where a member says how far it is, and what leads it."""
    places = {"progress": f"{number}{PROGRESS}", "begun": f"{number}{BEGUN}"}
    return {"leader": folder.name, **{name: str(folder / file) for name, file in places.items()}}


def _end(process: subprocess.Popen) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LAST_BYTES))
        lines = file.read().decode(errors="replace").replace("\r", "\n").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
