"""What a job may use of a machine, on trees of /proc and /sys as schedulers and containers leave them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sercache import machine, settings
from sercache.errors import SettingsError

SECOND = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
FIRST = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "32 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:30 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
"""Lines of mountinfo, of both versions of control groups."""


@pytest.fixture(autouse=True)
def _sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)


def tree(top: Path, mounts: str, group: str, **contents: str) -> Path:
    """A machine; names of ``contents`` are paths below /sys/fs/cgroup."""
    files = {
        "proc/self/mountinfo": "23 1 0:1 / / rw - ext4 /dev/sda rw\n" + mounts,
        "proc/self/cgroup": group,
        "proc/meminfo": "MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable: 8000 kB\n",
        **{f"sys/fs/cgroup/{name}": text for name, text in contents.items()},
    }
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    return top


def test_a_machine_without_limits_is_all_ours(tmp_path: Path) -> None:
    assert machine.cores({}, tmp_path) == 16
    assert machine.cores({}, tree(tmp_path, SECOND, "0::/user.slice\n")) == 16
    assert machine.free_memory(tmp_path) == 8000 * 1024


@pytest.mark.parametrize(
    ("own", "above", "expected"),
    [
        ("max 100000", "max 100000", 16),
        ("400000 100000", "max 100000", 4),
        ("max 100000", "250000 100000", 3),  # of a core and a half, two
        ("800000 100000", "200000 100000", 2),
        ("20000 100000", "max 100000", 1),
        ("nonsense", "800000 100000", 8),
        ("9900000 100000", "max 100000", 16),
    ],
)
def test_every_group_above_may_have_a_quota(tmp_path: Path, own: str, above: str, expected: int) -> None:
    files = {
        "slurm/cpu.max": f"{above}\n",
        "slurm/job_7/cpu.max": f"{own}\n",
        "other/cpu.max": "100000 100000\n",
    }
    top = tree(tmp_path, SECOND, "0::/slurm/job_7/step_0\n", **files)
    assert machine.cores({}, top) == expected


@pytest.mark.parametrize(
    ("root", "group", "folder"),
    [
        ("/", "/slurm/job_7", "slurm/job_7/"),
        ("/", "/slurm/job_7", "slurm/"),
        ("/docker/abc", "/docker/abc/inner", "inner/"),  # a container sees its own part of the tree
        ("/docker/abc", "/elsewhere", ""),
        ("/", "/../sibling", ""),
    ],
)
def test_groups_of_the_first_version(tmp_path: Path, root: str, group: str, folder: str) -> None:
    top = tree(
        tmp_path,
        FIRST.format(root=root),
        f"5:memory:{group}\n3:cpu,cpuacct:{group}\n0::/\n",
        **{
            f"cpu,cpuacct/{folder}cpu.cfs_quota_us": "600000\n",
            f"cpu,cpuacct/{folder}cpu.cfs_period_us": "100000\n",
            f"memory/{folder}memory.limit_in_bytes": "4096000\n",
            f"memory/{folder}memory.usage_in_bytes": "4000000\n",
            f"memory/{folder}memory.stat": "inactive_file 1\ntotal_inactive_file 3000000\n",
        },
    )
    assert machine.cores({}, top) == 6
    assert machine.free_memory(top) == 4_096_000 - 1_000_000


def test_no_limit_of_the_first_version(tmp_path: Path) -> None:
    top = tree(
        tmp_path,
        FIRST.format(root="/"),
        "5:memory:/\n3:cpu,cpuacct:/\n",
        **{
            "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
            "memory/memory.usage_in_bytes": "9223372036854771711\n",
            "memory/memory.stat": "total_inactive_file 0\n",
        },
    )
    assert machine.cores({}, top) == 16
    assert machine.free_memory(top) == 8000 * 1024


def test_copies_of_files_count_as_free_memory_in_every_group(tmp_path: Path) -> None:
    def group(folder: str, limit: str, used: int, idle: int) -> dict[str, str]:
        named = {"max": limit, "current": str(used), "stat": f"anon 1\ninactive_file {idle}"}
        return {f"{folder}memory.{name}": f"{text}\n" for name, text in named.items()}

    outer, inner = group("a/", "4096000", 4_000_000, 3_000_000), group("a/b/", "5000000", 900_000, 0)
    top = tree(tmp_path, SECOND, "0::/a/b\n", **outer, **inner)
    assert machine.free_memory(top) == 4_096_000 - 1_000_000
    tree(tmp_path, SECOND, "0::/a/b\n", **group("a/", "max", 4_000_000, 3_000_000))
    assert machine.free_memory(top) == 5_000_000 - 900_000
    tree(tmp_path, SECOND, "0::/a/b\n", **group("a/b/", "100", 900_000, 0))
    assert machine.free_memory(top) == 0, "never less than nothing"


@pytest.mark.parametrize(("told", "expected"), [("4", 4), ("64", 16), ("", 16), ("0", 1), ("two", 16)])
def test_slurm_says_what_a_task_has(tmp_path: Path, told: str, expected: int) -> None:
    assert machine.cores({"SLURM_CPUS_PER_TASK": told}, tmp_path) == expected


def test_threads_are_limited_where_torch_would_not_know(tmp_path: Path) -> None:
    plain: dict[str, str] = {}
    machine.limit_threads(plain, tmp_path)
    assert plain == {}, "the CPU set is known to torch"
    for before, after in ({}, "4"), ({"OMP_NUM_THREADS": "9"}, "9"):
        environment = {"SLURM_CPUS_PER_TASK": "4", **before}
        machine.limit_threads(environment, tmp_path)
        assert environment["OMP_NUM_THREADS"] == after


def test_this_machine_has_something() -> None:
    assert 1 <= machine.cores() <= 16
    assert 2**20 < machine.free_memory() < 2**50


def test_nobody_else_counts_cores() -> None:
    top = Path(machine.__file__).parent
    found = [
        path.name
        for path in top.rglob("*.py")
        if "cpu_count" in path.read_text(encoding="utf-8")
        or "sched_getaffinity" in path.read_text(encoding="utf-8")
    ]
    assert found == ["machine.py"]


class Cards:
    """Of torch.cuda, what tells which cards there are."""

    UUIDS = ("8932f937-d72c-4106-c12f-20bd9faed9f6", "8932aaaa-0000-0000-0000-000000000000")

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import torch

        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(self.UUIDS))
        monkeypatch.setattr(torch.cuda, "get_device_properties", self)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")

    def __call__(self, number: int) -> Cards:
        self.uuid = self.UUIDS[number]
        return self


def test_cards_are_those_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    Cards(monkeypatch)
    assert settings.resolve_device("cuda:1") == "cuda:1"
    assert settings.resolve_device("GPU-8932a") == "cuda:1"
    assert settings.resolve_device(f"GPU-{Cards.UUIDS[0].upper()}") == "cuda:0"
    with pytest.raises(
        SettingsError, match=r"cuda:3 is not here: 2 CUDA devices, with CUDA_VISIBLE_DEVICES='3,5'"
    ):
        settings.resolve_device("cuda:3")
    for wrong in ("GPU-", "GPU-8932", "MIG-0"):
        with pytest.raises(SettingsError, match=f"device {wrong} is.*{Cards.UUIDS[1]}.*nvidia-smi -L"):
            settings.resolve_device(wrong)


@pytest.mark.parametrize("devices", ["cuda,cuda:0", "cuda:1,GPU-8932a"])
def test_a_card_is_not_named_twice_in_two_ways(monkeypatch: pytest.MonkeyPatch, devices: str) -> None:
    from sercache.experiment import extract

    Cards(monkeypatch)
    request = extract.ExtractOptions(encoder="logmel", dataset="manifest", devices=devices)
    with pytest.raises(SettingsError, match="names a device twice"):
        extract._devices(request, settings.Settings(None))
