"""Several `sercache train` of one run, killed again and again at random moments; driven by test_train_killed.py.

Heavy packages are imported once, then every process is a fork of this one. A run that is finished on the way is moved
aside, and begun anew.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from kill_extract import run

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
EXPECTED = {0, -signal.SIGKILL, 143, 130}


def main() -> None:
    """Arguments: seed, kills, processes, longest wait (s), runs folder, one for finished runs, the command as JSON."""
    seed, n_kills, n_processes, longest = (float(text) for text in sys.argv[1:5])
    folder, done, arguments = Path(sys.argv[5]), Path(sys.argv[6]), json.loads(sys.argv[7])
    import sercache.experiment.train
    import sercache.heads.linear
    import sercache.stores.zarr  # noqa: F401
    from sercache import cli
    from sercache.claims import _claims

    _claims.LOSSES = 10**6  # kills at random are no fault of the work

    chance, children = random.Random(seed), set[int]()
    kills, codes = 0, set[int]()
    while kills < n_kills:
        while len(children) < n_processes:
            children.add(started(cli, arguments))
        time.sleep(chance.uniform(0, longest))
        ended = {child: code for child in children if (code := code_of(child, os.WNOHANG)) is not None}
        children -= ended.keys()
        codes |= set(ended.values())
        if 0 in ended.values():
            codes |= {code_of(child) for child in children}  # type: ignore[misc] - each comes to its end
            children.clear()
            move_aside(folder, done)
            continue
        if children:
            child = chance.choice(sorted(children))
            os.kill(child, chance.choice(SIGNALS))
            codes.add(code_of(child))  # type: ignore[arg-type]
            children.remove(child)
            kills += 1
    codes |= {code_of(child) for child in children}  # type: ignore[misc]
    move_aside(folder, done)
    codes.add(code_of(started(cli, arguments)))  # type: ignore[arg-type]
    move_aside(folder, done)
    print(json.dumps({"kills": kills, "strange": sorted(codes - EXPECTED)}))


def started(cli: object, arguments: list[str]) -> int:
    child = os.fork()
    if child == 0:
        run(cli, arguments)
    return child


def code_of(child: int, options: int = 0) -> int | None:
    """How a process ended; None where it has not."""
    ended, status = os.waitpid(child, options)
    return os.waitstatus_to_exitcode(status) if ended else None


def move_aside(folder: Path, done: Path) -> None:
    for path in folder.iterdir() if folder.is_dir() else ():
        path.rename(done / f"{len(list(done.iterdir()))}-{path.name}")


if __name__ == "__main__":
    main()
