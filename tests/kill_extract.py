"""Runs `sercache extract` again and again and kills it at random moments; driven by test_extract_killed.py.

Heavy packages are imported once, then every run is a fork of this process: a whole `extract` with its own
threads and files, without seconds of imports for each kill.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time


def main() -> None:
    """Arguments: seed, number of kills, longest wait (s), and the command's arguments as JSON."""
    seed, n_kills, longest = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    arguments = json.loads(sys.argv[4])
    import sercache.encoders.demo
    import sercache.encoders.hf_speech
    import sercache.experiment.extract
    import sercache.stores.hdf5
    import sercache.stores.zarr  # noqa: F401
    from sercache import cli

    chance = random.Random(seed)
    kills = finished = 0
    while kills < n_kills:
        child = os.fork()
        if child == 0:
            run(cli, arguments)
        time.sleep(chance.uniform(0.0, longest))
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            finished += 1
            report(kills, finished, os.waitstatus_to_exitcode(status))
            if finished > 3:
                break  # it finishes before it is killed: the caller must give it more to do
            continue
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1
    report(kills, finished, 0)


def run(cli: object, arguments: list[str]) -> None:
    """One extract; never returns."""
    sys.argv = ["sercache", *arguments]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        cli.main()  # type: ignore[attr-defined]
    except SystemExit as end:
        os._exit(int(end.code or 0))
    os._exit(0)


def report(kills: int, finished: int, code: int) -> None:
    print(json.dumps({"kills": kills, "finished": finished, "code": code}), flush=True)


if __name__ == "__main__":
    main()
