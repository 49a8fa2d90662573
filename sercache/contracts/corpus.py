"""The contract of the file of a corpus, tried on the example that it brings."""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import ModuleType

from sercache import audio, catalog
from sercache.contracts.check import ContractCheck, missing
from sercache.datasets import Corpus, CorpusInfo, CorpusReader, OwnReader
from sercache.errors import CorpusError, SercacheError
from sercache.protocols import PROTOCOLS

_TEXTS = (".txt", ".csv", ".tsv", ".jsonl", ".json", ".ort", ".yaml", ".toml", ".xml", ".lab")
"""Files of labels, by how they end."""
_LICENCE = re.compile(r"[A-Za-z0-9.-]*")
_MANY = 100
"""Classes of which a small example cannot have all."""
_FEW = 5


@contextmanager
def example_of(module: ModuleType) -> Iterator[Path]:
    """What ``read`` takes for the example of a corpus, for as long as it is looked at."""
    with tempfile.TemporaryDirectory() as folder:
        yield module.example(Path(folder) / "root")


def name_of(module: ModuleType) -> str:
    """What the corpus of a file is called."""
    return catalog.called(Path(str(module.__file__)).stem)


def _holds(module: ModuleType) -> Iterator[str]:
    yield from missing(module, catalog.NEEDED["sercache.datasets"], CorpusReader)
    info = vars(module).get("INFO")
    if info is not None and not isinstance(info, CorpusInfo):
        yield f"INFO is {type(info).__name__}, expected a sercache.datasets.CorpusInfo"
    elif info is not None and info.own:
        yield from missing(module, ("holds",), OwnReader)


def _is_described(module: ModuleType) -> Iterator[str]:
    info: CorpusInfo = module.INFO
    for field in ("title", "language", "licence", "access", "tree"):
        if not str(vars(info)[field]).strip():
            yield f"INFO.{field} is empty"
    if not _LICENCE.fullmatch(info.licence_id):
        yield f"INFO.licence_id is {info.licence_id!r}, expected an SPDX identifier, as CC-BY-4.0, or LicenseRef-NAME"
    if info.default_task not in info.tasks:
        yield f"INFO.default_task is {info.default_task!r}, expected one of {', '.join(info.tasks) or 'INFO.tasks'}"
    for task, label_map in info.tasks.items():
        if "@" in task:
            yield f"a task is called {task!r}; @ begins a subset"
        if not all(raw and name for raw, name in label_map.items()):
            yield f"the label map of {task} has an empty label"
    for setup, expression in info.setups.items():
        task, *subsets = expression.split("@")
        if task not in info.tasks or not set(subsets) <= set(info.subsets):
            yield f"INFO.setups: {setup} is {expression}, which names a task or subset that there is not"
    for folds, groups in info.folds.items():
        speakers = [who for fold in groups.values() for who in fold]
        if not len(speakers) == len(set(speakers)) == info.n_speakers:
            yield f"INFO.folds: {folds} has {len(set(speakers))} of {info.n_speakers} speakers, or some of them twice"
    kind, _, argument = info.default_protocol.partition(":")
    if kind not in {protocol.partition(":")[0] for protocol in PROTOCOLS}:
        yield catalog.unknown("protocol", info.default_protocol, list(PROTOCOLS))
    elif kind == "folds" and argument not in info.folds:
        yield catalog.unknown("set of folds", argument, list(info.folds))
    elif kind == "fixed" and argument not in info.splits and not (argument == "official" and info.official):
        yield catalog.unknown("split", argument, list(info.splits))


def _agrees_with_itself(module: ModuleType) -> Iterator[str]:
    info: CorpusInfo = module.INFO
    for published in info.published:
        for field, counts in published.counts.items():
            if sum(counts.values()) != published.rows:
                yield f"INFO.published: {field} sums to {sum(counts.values())}, rows are {published.rows}"
        if published.ids is not None and len(set(published.ids())) != published.rows:
            yield f"INFO.published: its rule makes {len(set(published.ids()))} ids, rows are {published.rows}"
    if info.expected_counts and info.published and not info.published[0].task:
        total = sum(info.expected_counts.values())
        if total != info.published[0].rows:
            yield f"INFO.expected_counts sum to {total}, the published list has {info.published[0].rows} rows"


def _reads_its_example(module: ModuleType) -> Iterator[str]:
    with example_of(module) as root:
        corpus = module.read(root)
        if not isinstance(corpus, Corpus):
            yield f"read gives {type(corpus).__name__}, expected a sercache.datasets.Corpus"
            return
        if (corpus.reader or corpus.name) != name_of(module):
            yield f"the corpus is called {corpus.reader or corpus.name!r}, expected {name_of(module)!r} as its file is"
        if not corpus.release:
            yield "the corpus has no release, by which changed copies are told apart"
        ids = [u.id for u in corpus.utterances]
        if ids != sorted(ids):
            yield "utterances are not sorted by id: their order would be that of the disk (sercache.datasets.assemble)"
        for u in corpus.utterances:
            if not audio.is_file(u.path):
                yield f"the path of {u.id} is no file: {u.path}"
            if u.path.name.startswith("."):
                yield f"{u.path.name} is a hidden file, no recording"
            if u.sex not in ("", "F", "M"):
                yield f"the sex of {u.id} is {u.sex!r}, expected F, M or nothing"
        if any(u.partition for u in corpus.utterances) and not corpus.info.official:
            yield "utterances have a partition, but INFO.official does not say what it is"
        if bool(corpus.info.shares) != any(u.soft_label for u in corpus.utterances):
            yield "INFO.shares says what soft labels are, where utterances have some and only there"


def _labels_its_example(module: ModuleType) -> Iterator[str]:
    with example_of(module) as root:
        corpus = module.read(root)
        labels = corpus.labels()
        if not labels:
            yield f"the default task {corpus.info.default_task} labels no utterance of the example"
        absent = corpus.missing_classes()
        if absent and len(set(corpus.info.tasks[corpus.info.default_task].values())) <= _MANY:
            yield f"the example has no utterance of {', '.join(absent)}, which the default task knows"
        for name, subset in corpus.info.subsets.items():
            if not all(isinstance(subset.holds(u), bool) for u in corpus.utterances[:_FEW]):
                yield f"the subset {name} does not say True or False of every utterance"
        for task, promised in (("avd", corpus.info.attribute_range), ("shares", corpus.info.shares)):
            if promised and not all(0 <= v <= 1 for row in corpus.targets(task).values() for v in row):
                yield f"numbers of {task} leave the range from 0 to 1"


def _can_be_sent(module: ModuleType) -> Iterator[str]:
    with example_of(module) as root:
        corpus = module.read(root)
        try:
            same = ForkingPickler.loads(ForkingPickler.dumps(corpus)) == corpus
        except Exception as fault:  # whatever the parts of it say
            yield f"the corpus cannot be sent to another process ({fault}): write functions in INFO as functions"
            return
        if not same:
            yield "the corpus is another one after it was sent to another process"


def _refuses_others(module: ModuleType) -> Iterator[str]:
    if module.INFO.generated:
        return
    with tempfile.TemporaryDirectory() as folder:
        for what in ("empty", "missing", "file"):
            root = Path(folder) / what
            if what == "empty":
                root.mkdir()
            if what == "file":
                root.write_bytes(b"x")
            try:
                module.read(root)
            except CorpusError as fault:
                if "\n" in str(fault) or str(root) not in str(fault):
                    yield f"of a root that is {what}, the error is not one line that names it: {fault}"
            except Exception as fault:
                told = catalog.told(fault, str(module.__file__))
                yield f"a root that is {what} raises {told}; expected a CorpusError that says what was looked for"
            else:
                yield f"a root that is {what} is read as a corpus; expected a CorpusError"


def _survives_damage(module: ModuleType) -> Iterator[str]:
    with example_of(module) as root:
        found = [root] if root.is_file() else sorted(root.rglob("*"))
        kinds = {(path.suffix, path.parent.name): path for path in found if path.suffix in _TEXTS}
        for path in kinds.values():
            whole = path.read_bytes()
            for damaged in (
                b"",
                whole[: len(whole) // 2],
                random.Random(0).randbytes(200),
                whole.replace(b"\n", b"\0"),
            ):
                path.write_bytes(damaged)
                try:
                    module.read(root)
                except SercacheError:
                    continue
                except Exception as fault:
                    yield f"a damaged {path.name} raises {catalog.told(fault, str(module.__file__))}"
                    break
            path.write_bytes(whole)


CHECKS = (
    ContractCheck("holds what the file of a corpus holds", _holds, is_needed=True),
    ContractCheck("is described: title, licence, tasks, protocols", _is_described, is_needed=True),
    ContractCheck("agrees with the lists that it says are published", _agrees_with_itself),
    ContractCheck("reads the example that it brings", _reads_its_example, is_needed=True),
    ContractCheck("labels the example, every class in it", _labels_its_example),
    ContractCheck("can be sent to another process", _can_be_sent),
    ContractCheck("refuses a folder that is not the corpus, in one line", _refuses_others),
    ContractCheck("refuses damaged label files, or reads less of them", _survives_damage),
)
