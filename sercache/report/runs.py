"""Run folders: a Report on disk, written whole or not at all.

``report.json`` holds all but the long lists, ``predictions.csv`` one line per run and utterance (and
``predictions-on-<corpus>-<task>.csv`` those of another corpus, ``predictions-dev.csv`` those of the dev parts),
``history.jsonl`` one line per run and epoch, ``heard.csv`` what was trained on by digests of its audio, ``weights/``
the trained heads where they were kept.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sercache import catalog, files, settings
from sercache.errors import SettingsError
from sercache.record import READABLE, Experiment, Prediction, Recording, Report

if TYPE_CHECKING:
    from torch import Tensor

REPORT, PREDICTIONS, HISTORY, WEIGHTS = "report.json", "predictions.csv", "history.jsonl", "weights"
DEV_PREDICTIONS = "predictions-dev.csv"
RECORDINGS = "heard.csv"
_FIXED = ("fold", "seed", "id", "speaker")
_UNKNOWN = re.compile(r"unexpected keyword argument ('\w+')")


def save(
    report: Report,
    folder: Path,
    *,
    weights: Mapping[tuple[str, int | None], Mapping[str, Tensor]] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a run folder; it appears complete or not at all. Gives its path.

    ``weights`` are state dicts by fold and seed; where the seed is None, the statistics that normalise the
    inputs of a fold's heads (see sercache.evaluation.cross_corpus). Raises SettingsError where the folder exists and
    ``overwrite`` is false, or is not a run folder.
    """
    folder = Path(folder)
    if folder.exists() and not _may_go(folder, overwrite):
        raise SettingsError(f"{folder} exists already; choose another name for this run, or remove it")
    with files.new_folder(folder) as temporary:
        with files.write_faults_named(folder, "choose another folder with --runs"):
            _write(report, temporary)
        for (fold, seed), state in (weights or {}).items():
            name = _scaling_name(fold) if seed is None else _weights_name(fold, seed)
            files.write_tensors(temporary / WEIGHTS / name, state)
    return folder


def meant(folder: Path) -> str:
    """What to add where ``folder`` is none but called as a run of the runs folder; else nothing."""
    known = Path(settings.load().value("runs").value).expanduser() / Path(folder).name
    return f"; did you mean {known}?" if (known / REPORT).is_file() else ""


def load(folder: Path) -> Report:
    """The report of a run folder. Raises SettingsError where it is not one or is damaged, FileError where the system
    does not give it.
    """
    path = Path(folder) / REPORT
    if not path.is_file():
        raise SettingsError(f"{folder} is not a run folder: it has no {REPORT}{meant(folder)}")
    try:
        record = json.loads(path.read_text(encoding="utf-8-sig"))
        if record["schema"] not in READABLE:
            raise SettingsError(
                f"{path} has schema {record['schema']}, this sercache reads {READABLE[-1]}; use the version "
                "that wrote it"
            )
        outputs = record["classes"], record.get("targets", [])
        record["heard"] = _read_recordings(Path(folder) / RECORDINGS)
        record["predictions"] = list(_read_predictions(Path(folder) / PREDICTIONS, *outputs))
        dev = Path(folder) / DEV_PREDICTIONS  # which runs of before do not have
        record["dev_predictions"] = list(_read_predictions(dev, *outputs)) if dev.is_file() else []
        for each in record.get("elsewhere", []):
            each["predictions"] = list(_read_predictions(Path(folder) / _cross_corpus_name(each), *outputs))
        histories: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for line in (Path(folder) / HISTORY).read_text(encoding="utf-8").splitlines():
            epoch = json.loads(line)
            histories.setdefault((epoch.pop("fold"), epoch.pop("seed")), []).append(epoch)
        for run in record["runs"]:
            run["history"] = histories.get((run["fold"], run["seed"]), [])
        report = Report.from_json(record)
        _check_all_there(report)
        return report
    except FileNotFoundError as fault:
        raise SettingsError(
            f"the run in {folder} lacks {Path(fault.filename).name}; remove that folder and train it again"
        ) from fault
    except OSError as fault:  # which is no damage: nobody is to remove what is sound
        raise files.read_fault(folder, fault) from fault
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as fault:
        unknown = _UNKNOWN.search(str(fault))
        if unknown is not None:
            raise SettingsError(
                f"the run in {folder} has {unknown[1]}, which this sercache does not know; use the version that "
                "wrote it"
            ) from fault
        raise SettingsError(
            f"the run in {folder} is damaged ({type(fault).__name__}: {fault}); restore it, or remove that folder and "
            "train it again"
        ) from fault


def _check_all_there(report: Report) -> None:
    """Raise ValueError where other predictions lie there than were tested; some runs test nothing."""
    counted = Counter((each.fold, each.seed) for each in report.predictions)
    if not counted and not any(map(sum, report.confusion)):
        return
    n_test = {fold.name: fold.n_test for fold in report.folds}
    for run in report.runs:
        n, expected = counted[run.fold, run.seed], n_test[run.fold]
        if n != expected:
            raise ValueError(
                f"{PREDICTIONS} holds {n} predictions of fold {run.fold}, seed {run.seed}, where {expected} were tested"
            )


def experiment_digest(path: Path) -> str:
    """Digest of the experiment that a ``report.json`` is of; empty where it cannot be told."""
    return str((_experiment_record(path) or {}).get("digest", ""))


def read_experiment(folder: Path) -> Experiment | None:
    """The experiment of a run folder, without the rest of its report; None where it cannot be told."""
    record = _experiment_record(Path(folder) / REPORT)
    try:
        return Experiment.from_json(record) if record else None
    except (KeyError, TypeError):
        return None


def read_environment(folder: Path) -> dict[str, Any]:
    """Where a run was made, without the rest of its report; empty where it cannot be told."""
    return _part(Path(folder) / REPORT, "environment") or {}


def _experiment_record(path: Path) -> dict[str, Any] | None:
    return _part(path, "experiment")


def _part(path: Path, name: str) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get(name)
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, dict) else None


def find(folder: Path) -> list[Path]:
    """Run folders directly below ``folder``, by name."""
    return sorted(path.parent for path in Path(folder).glob(f"[!.]*/{REPORT}"))


def weights_path(folder: Path, fold: str, seed: int) -> Path:
    """Where a run folder keeps the head of one fold and seed (safetensors)."""
    return Path(folder) / WEIGHTS / _weights_name(fold, seed)


def scaling_path(folder: Path, fold: str) -> Path:
    """Where a run folder keeps the statistics that normalise the inputs of a fold (safetensors)."""
    return Path(folder) / WEIGHTS / _scaling_name(fold)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """What lies at ``weights_path`` or ``scaling_path``. Raises SettingsError where it is not there or damaged,
    FileError where the system does not give it.
    """
    from safetensors import SafetensorError

    if not path.is_file():
        raise SettingsError(f"{path} is not there: this run did not keep its heads; train it again")
    try:
        with files.opened_tensors(path) as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except OSError as fault:
        raise files.read_fault(path, fault) from fault
    except SafetensorError as fault:
        raise SettingsError(f"{path} is damaged: {fault}; train the run again") from fault


def _scaling_name(fold: str) -> str:
    return f"scaling-{catalog.quoted_name(fold)}.safetensors"


def _weights_name(fold: str, seed: int) -> str:
    return f"fold-{catalog.quoted_name(fold)}-seed-{seed}.safetensors"


def _write(report: Report, folder: Path) -> None:
    # What has an entry an utterance is written as it is: its JSON would lie in memory beside it.
    there = [replace(each, predictions=()) for each in report.cross_corpus]
    plain = replace(report, recordings=None, predictions=(), dev_predictions=(), cross_corpus=tuple(there))
    record = plain.to_json()
    del record["heard"], record["predictions"], record["dev_predictions"]
    for each in record["elsewhere"]:
        del each["predictions"]
    if report.recordings is not None:
        _write_recordings(folder / RECORDINGS, report.recordings)
    histories = [(run["fold"], run["seed"], run.pop("history")) for run in record["runs"]]
    _write_text(folder / REPORT, [json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)])
    lines = [
        json.dumps({"fold": fold, "seed": seed, **epoch}, ensure_ascii=False, allow_nan=False)
        for fold, seed, history in histories
        for epoch in history
    ]
    _write_text(folder / HISTORY, lines)
    _write_predictions(folder / PREDICTIONS, report.predictions, report)
    if report.dev_predictions:
        _write_predictions(folder / DEV_PREDICTIONS, report.dev_predictions, report)
    for each, other in zip(record["elsewhere"], report.cross_corpus, strict=True):
        _write_predictions(folder / _cross_corpus_name(each), other.predictions, report)


def _write_recordings(path: Path, recordings: Sequence[Recording]) -> None:
    """One line for each recording: its corpus, utterance and digest, and ``encoder`` where it trained that before."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("corpus", "id", "audio", "by"))
        table.writerows((each.corpus, each.id, each.audio, each.by) for each in recordings)


def _read_recordings(path: Path) -> list[dict[str, str]] | None:
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _cross_corpus_name(record: Mapping[str, Any]) -> str:
    return f"predictions-on-{quote(record['dataset'] + '-' + record['task'], safe='@')}.csv"


def _write_predictions(path: Path, predictions: Sequence[Prediction], report: Report) -> None:
    """One line per run and utterance: names of classes and probabilities, or true and predicted numbers."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        if report.targets:
            names = [f"{kind}:{name}" for kind in ("true", "predicted") for name in report.targets]
            table.writerow([*_FIXED, *names])
        else:
            table.writerow([*_FIXED, "true", "predicted", *(f"p:{name}" for name in report.classes)])
        for each in predictions:
            said = [*report.target.shown(each.true), *report.target.shown(each.predicted)]
            table.writerow([*(getattr(each, part) for part in _FIXED), *said, *each.probabilities])


def _read_predictions(path: Path, classes: Sequence[str], targets: Sequence[str]) -> Iterator[dict[str, Any]]:
    place = {name: k for k, name in enumerate(classes)}
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            yield {
                "id": row["id"],
                "fold": row["fold"],
                "seed": int(row["seed"]),
                "speaker": row["speaker"],
                "probabilities": [float(row[f"p:{name}"]) for name in classes],
                **{part: _answer(row, part, place, targets) for part in ("true", "predicted")},
            }


def _answer(
    row: Mapping[str, str], part: str, classes: Mapping[str, int], targets: Sequence[str]
) -> int | list[float]:
    """What a row of predictions has as ``true`` or ``predicted``."""
    return [float(row[f"{part}:{name}"]) for name in targets] if targets else classes[row[part]]


def _write_text(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _may_go(folder: Path, overwrite: bool) -> bool:
    """Whether what lies at ``folder`` may be replaced: an empty folder, or a run if asked for."""
    if not folder.is_dir():
        return False
    return not any(folder.iterdir()) or (overwrite and (folder / REPORT).is_file())
