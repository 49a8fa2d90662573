"""What the verbs are given, as rooms below take it: names and objects apart, who hears of progress."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sercache import given, text
from sercache.errors import SettingsError
from sercache.progress import Listener, listener_of, sent_to

if TYPE_CHECKING:
    from torch import nn

    from sercache.datasets import Corpus
    from sercache.encoders import Encoder
    from sercache.evaluation import Extra
    from sercache.experiment.ready import AtHand
    from sercache.experiment.result import Result
    from sercache.stores import FeatureStore

AnyPath = str | PathLike[str]
Progress = bool | Listener


@contextmanager
def told(progress: Progress, request: object, settings: Mapping[str, Any]) -> Iterator[None]:
    """Send what is reported to ``progress``, and let text of corpora be read as the settings say."""
    if not isinstance(progress, bool) and not callable(getattr(progress, "bar", None)):
        raise unfit("progress", "True, False or a sercache.progress.Listener", progress)
    with (
        sent_to(listener_of(progress)),
        given.named_by_user(given.texts_of(request)),
        text.reading_as(settings.get("encoding"), bool(settings.get("labels_as_written"))),
    ):
        yield


def in_memory(run: AnyPath | Result) -> Result | None:
    """A result itself, None for the folder of one. Raises SettingsError for anything else."""
    if isinstance(run, str | PathLike):
        return None
    from sercache.experiment.result import Result

    if not isinstance(run, Result):
        raise unfit("run", "the folder of a run or a Result", run)
    return run


def place(run: AnyPath | Result) -> AnyPath:
    """The folder of a run, for its options; of a result in memory none. Raises SettingsError for anything else."""
    if isinstance(run, str | PathLike):
        return run
    found = in_memory(run)
    return (found and found.folder) or Path()


def saved(run: AnyPath | Result) -> AnyPath:
    """The folder of a run. Raises SettingsError for a result that has none."""
    folder = place(run)
    if folder == Path():
        raise SettingsError("this result was not saved; call save(folder) and give what it returns")
    return folder


def run_or_store(given: AnyPath | Result | FeatureStore) -> AnyPath:
    """The folder of a run or of a store. Raises SettingsError for a result that has none, and anything else."""
    if callable(getattr(given, "pooled", None)):
        return store_of(given).path
    return saved(given)  # type: ignore[arg-type]


def encoder_of(given: str | Encoder) -> tuple[str, Encoder | None]:
    """The name of an encoder, and the encoder where it is at hand. Raises SettingsError for anything else."""
    if isinstance(given, str | PathLike):
        from sercache.encoders import own_name

        return own_name(fspath(given)), None
    if not (callable(getattr(given, "encode", None)) and hasattr(given, "states")):
        raise unfit("encoder", "a name or an Encoder", given)
    return given.name, given


def corpus_of(given: str | Corpus) -> tuple[str, Corpus | None]:
    """The name of a corpus, and the corpus where it is at hand. Raises SettingsError for anything else."""
    from sercache.datasets import Corpus

    if isinstance(given, str | PathLike):
        return fspath(given), None
    if not isinstance(given, Corpus):
        raise unfit("dataset", "a name or a Corpus", given)
    return given.dataset, given


def store_of(given: Any) -> FeatureStore:
    """A store at hand. Raises SettingsError for anything else."""
    if not (hasattr(given, "spec") and callable(getattr(given, "pooled", None))):
        raise unfit("store", "a FeatureStore, as sercache.open_store gives it", given)
    store: FeatureStore = given
    return store


def folder_or_store(given: AnyPath | FeatureStore | None) -> tuple[AnyPath | None, FeatureStore | None]:
    """The folder of a store, or the store where it is at hand. Raises SettingsError for anything else."""
    if given is None or isinstance(given, str | PathLike):
        return given, None
    return None, store_of(given)


def at_hand_of(
    head: str | type[nn.Module],
    store: AnyPath | FeatureStore | None,
    dataset: str | Corpus | None,
    settings: Mapping[str, Any],
) -> tuple[AtHand, dict[str, Any]]:
    """Objects of a training apart from names: what is at hand, and the settings that name the rest."""
    from sercache.experiment.ready import AtHand

    given: dict[str, Any] = {}
    named: dict[str, Any] = dict(settings)
    named["head"], given["head"] = head_of(head)
    if dataset is not None:
        named["dataset"], given["corpus"] = corpus_of(dataset)
    folder, opened = folder_or_store(store)
    if folder is not None:
        named["store"] = folder
    if opened is not None:
        given["store"] = opened
    if named.get("encoder") is not None:
        named["encoder"], given["encoder"] = encoder_of(named["encoder"])
    beside = named.get("beside")
    if isinstance(beside, Mapping):
        given["beside"], named["beside"] = tuple(map(store_of, beside.values())), list(beside)
    test_on = named.get("test_on")
    if isinstance(test_on, Sequence) and any(isinstance(each, tuple) for each in test_on):
        given["test_on"] = extras(test_on)
        del named["test_on"]
    return AtHand(**given), named


def head_of(given: str | type[nn.Module]) -> tuple[str, type[nn.Module] | None]:
    """The name of a head, and its class where that is given. Raises SettingsError for anything else."""
    from torch import nn

    from sercache import catalog

    if isinstance(given, str | PathLike):
        return fspath(given), None
    if not (isinstance(given, type) and issubclass(given, nn.Module)):
        raise unfit("head", "a name, a file or a class of torch.nn.Module", given)
    return catalog.called(given.__name__), given


def extras(test_on: Sequence[Any]) -> tuple[Extra, ...]:
    """Pairs of a corpus and its store. Raises SettingsError for anything else."""
    from sercache.datasets import Corpus
    from sercache.evaluation import Extra

    for each in test_on:
        if not (isinstance(each, tuple) and len(each) == 2 and isinstance(each[0], Corpus)):
            raise SettingsError(f"test_on is names, or pairs of a Corpus and its FeatureStore, got {each!r}")
    return tuple(Extra(corpus, store_of(store)) for corpus, store in test_on)


def unfit(what: str, expected: str, got: Any) -> SettingsError:
    """The error for an argument of another kind than expected, with what was got, cut to a line."""
    return SettingsError(f"{what} is {expected}, got {reprlib.repr(got)}")
