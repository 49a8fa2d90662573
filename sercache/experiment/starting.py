"""Initial weights from runs that were done before, and that they have not seen what is tested now."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sercache.datasets import Corpus
from sercache.errors import ProtocolError, SettingsError
from sercache.protocols import Fold
from sercache.record import Recording, Report, Run, StartRecord, digest_of
from sercache.report import runs
from sercache.settings import expanded
from sercache.training import start


@dataclass(frozen=True, eq=False)
class InitialWeights:
    """Earlier runs by the part of the head that they start: "" for the whole of it."""

    folders: Mapping[str, Path]
    reports: Mapping[str, Report]
    corpus: Corpus
    """That is trained on now."""

    def __call__(self, fold: Fold, seed: int) -> dict[str, Mapping[str, Any]]:
        """Weights for one training: those of the same fold and seed, else of the only one that fits.

        Raises SettingsError where none or several fit, ProtocolError where the earlier training may have
        seen this fold's test part.
        """
        found: dict[str, Mapping[str, Any]] = {}
        for part, report in self.reports.items():
            member = _member(report, self.folders[part], fold.name, seed)
            self._check_unseen(report, self.folders[part], member, fold)
            found[part] = runs.read_tensors(runs.weights_path(self.folders[part], member.fold, member.seed))
        return found

    def prepare(self, head: Any, fold: Fold, seed: int) -> None:
        """Give ``head`` its initial weights. Raises as calling this does, and RecipeError."""
        start(head, self(fold, seed))

    def _check_unseen(self, report: Report, folder: Path, member: Run, fold: Fold) -> None:
        if not fold.test or not any(self.corpus.is_called(*seen) for seen in report.seen):
            return
        name = self.corpus.name
        if not self.corpus.is_called(*report.seen[0]):
            raise ProtocolError(
                f"{folder} has seen {name} beside {report.corpus['name']}, and which of its utterances is not "
                f"known: fold {fold.name} may test what gave the initial weights; take an earlier run that has not"
            )
        held_out = next(each.test_sha256 for each in report.folds if each.name == member.fold)
        if held_out != _digest(fold.test):
            raise ProtocolError(
                f"{folder} held out other utterances of {name} in fold {member.fold} than fold {fold.name} "
                "tests: it may have trained on them; train it by the same protocol and task"
            )

    def recordings(self) -> tuple[Recording, ...] | None:
        """What these were trained on; None where that is not known of all."""
        found = [report.recordings for report in self.reports.values()]
        known = [each for each in found if each is not None]
        return (
            tuple(dict.fromkeys(each for own in known for each in own)) if len(known) == len(found) else None
        )

    def recorded(self) -> tuple[StartRecord, ...]:
        """What the report says of these runs."""
        return tuple(
            StartRecord(
                part,
                folder.name,
                self.reports[part].head,
                tuple(name for name, _ in self.reports[part].seen),
                tuple(release for _, release in self.reports[part].seen),
                _trained_by(self.reports[part]),
            )
            for part, folder in self.folders.items()
        )


def read(pairs: Sequence[str], corpus: Corpus) -> InitialWeights | None:
    """What ``--start-from RUN`` or ``--start-from PART=RUN`` (repeated) means; None without one.

    Raises SettingsError for a folder that is no run or keeps no weights.
    """
    folders: dict[str, Path] = {}
    for pair in pairs:
        part, equals, name = pair.partition("=")
        folder = expanded(name if equals else pair)
        key = part if equals else ""
        if key in folders:
            raise SettingsError(f"--start-from names {key or 'the whole head'} twice; give each part once")
        if not (folder / runs.WEIGHTS).is_dir():
            raise SettingsError(f"{folder} keeps no weights, expected the folder of a training that does")
        folders[key] = folder
    if not folders:
        return None
    return InitialWeights(folders, {part: runs.load(folder) for part, folder in folders.items()}, corpus)


def _member(report: Report, folder: Path, fold: str, seed: int) -> Run:
    same_fold = [each for each in report.runs if each.fold == fold]
    for fitting in (
        [each for each in same_fold if each.seed == seed],
        same_fold,
        [] if same_fold else list(report.runs),
    ):
        if len(fitting) == 1:
            return fitting[0]
    raise SettingsError(
        f"{folder} has {len(report.runs)} trainings and none of them is that of fold {fold}, seed {seed}; train it "
        "by the same protocol and seeds"
    )


def _trained_by(report: Report) -> str:
    """Digest of what decided the weights of a run: its experiment, or of older runs the weights themselves."""
    if report.experiment is not None:
        return report.experiment.digest
    return digest_of([[run.fold, run.seed, run.weights_sha256] for run in report.runs])


def _digest(ids: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
