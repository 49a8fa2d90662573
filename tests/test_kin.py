"""What is left to the slow tier is there to be run, and something of its kind is run in the fast one."""

from __future__ import annotations

from pathlib import Path

import kin
import pytest
from conftest import COLLECTED


def test_of_each_kind_some_are_fast_and_what_is_named_exists(pytestconfig: pytest.Config) -> None:
    for test, there in pytestconfig.stash[
        COLLECTED
    ].items():  # what was collected: all, where all tests are run
        named = set(kin.SLOW[test])
        assert named <= there, f"{test}: these are no parameters of it any more, take them out of kin.py"
        assert there - named, f"{test}: the first of a kind stays in the fast tier"


def test_files_and_tests_that_are_named_exist() -> None:
    for test in kin.SLOW:
        file, *names = test.split("::")
        content = (Path(__file__).parent / file).read_text(encoding="utf-8")
        assert all(f"class {name}" in content or f"def {name}(" in content for name in names), test
