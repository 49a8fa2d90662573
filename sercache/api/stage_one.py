"""From recordings to features: corpora, encoders, stores, what is said, and whether all of it is whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from sercache import given, stores, text
from sercache.api._arguments import AnyPath, Progress, corpus_of, encoder_of, told
from sercache.settings import expanded, resolve_device

if TYPE_CHECKING:
    from sercache.checkup import CheckUp
    from sercache.datasets import Corpus
    from sercache.encoders import Encoder
    from sercache.experiment.info import StoreGroup, StoreInfo
    from sercache.experiment.transcribe import Transcribed
    from sercache.experiment.verify import Verified
    from sercache.stores import FeatureStore


def read_corpus(
    name: str, root: AnyPath, *, encoding: str | None = None, labels_as_written: bool = False
) -> Corpus:
    """The corpus ``name`` (``sercache datasets``) as it lies in ``root``. Raises CorpusError.

    One of your own is ``manifest:NAME`` or ``audformat:NAME``; without NAME it is called as its table or header says.
    ``encoding`` is that of tables which are not UTF-8; ``labels_as_written`` keeps labels apart that differ only by
    case, space or the form of a letter.
    """
    from sercache import datasets

    with text.reading_as(encoding, labels_as_written), given.named_by_user(given.texts_of(name)):
        return datasets.read(name, expanded(root))


def load_encoder(
    name: str, *, revision: str | None = None, device: str = "auto", precision: str = "float32"
) -> Encoder:
    """A frozen encoder by short name, Hugging Face id or local folder. Raises EncoderError."""
    from sercache import encoders

    with given.named_by_user(given.texts_of(name)):
        return encoders.load(name, revision=revision, device=resolve_device(device), precision=precision)


def extract(
    encoder: str | Encoder,
    dataset: str | Corpus,
    cache: AnyPath | None = None,
    *,
    strict: bool = True,
    progress: Progress = True,
    **settings: Any,
) -> FeatureStore:
    """Run an encoder over a corpus and give the store of its states; what the cache holds already is not computed.

    ``settings`` are the options of ``sercache extract``: ``states``, ``clip``, ``pooled_only``, ``dtype``, ``task``,
    ``root``, ``device``, … A script with ``cluster="local:2"`` has that below ``if __name__ == "__main__":``.
    ``augment`` is done to the recordings first (``noise:snr=10``); of ``variants`` the first is given.
    An encoder of text takes the corpus' own transcripts, or those of the file ``transcripts``.
    Recordings that cannot be encoded raise AudioError after the rest is stored; with ``strict=False`` they are left
    out, and ``sercache.extraction.skips(store.path)`` tells them. So does LeftOutError for what ended every process
    that encoded it.
    """
    from sercache.experiment import extract as work
    from sercache.experiment import filled

    name, at_hand = encoder_of(encoder)
    called, corpus = corpus_of(dataset)
    named: dict[str, Any] = {"encoder": name, "dataset": called}
    if cache is not None:
        named["cache"] = cache
    request = filled(work.ExtractOptions, "extract", {**named, **settings})
    with told(progress, request, settings):
        folder, *_ = work.run_each(request, at_hand=at_hand, corpus=corpus, strict=strict)
    return stores.open(folder)


def transcribe(
    model: str,
    dataset: str | Corpus,
    out: AnyPath,
    *,
    strict: bool = True,
    progress: Progress = True,
    **settings: Any,
) -> Transcribed:
    """Run a speech recogniser over a corpus and append what it hears to the file ``out``, which ``transcripts`` takes.

    What the file holds already is not recognised again. ``settings`` are the options of ``sercache transcribe``:
    ``root``, ``task``, ``language``, ``limit``, ``revision``, … Recordings that cannot be recognised raise AudioError
    after the rest is written; with ``strict=False`` they are listed in ``skipped``.
    """
    from sercache.experiment import filled
    from sercache.experiment import transcribe as work

    called, corpus = corpus_of(dataset)
    request = filled(
        work.TranscribeOptions, "transcribe", {"model": model, "dataset": called, "out": out, **settings}
    )
    with told(progress, request, settings):
        return work.run(request, corpus, strict=strict)


@overload
def info(
    stores: AnyPath | Sequence[AnyPath] = (),
    by: None = None,
    *,
    progress: Progress = True,
    **settings: Any,
) -> list[StoreInfo]: ...
@overload
def info(
    stores: AnyPath | Sequence[AnyPath] = (), *, by: str, progress: Progress = True, **settings: Any
) -> list[StoreGroup]: ...
def info(
    stores: AnyPath | Sequence[AnyPath] = (),
    by: str | None = None,
    *,
    progress: Progress = True,
    **settings: Any,
) -> list[StoreInfo] | list[StoreGroup]:
    """What the stores of the cache hold, or those named: ``pandas.DataFrame(sercache.info())`` is a table of them.

    With ``by`` (``spec``, ``corpus`` or ``encoder``) added up, with their sizes, utterances and last use; ``all`` last.

    A store that cannot be opened says why in ``fault``; where it is the only one named, that is raised. ``settings``
    are the options of ``sercache info``: ``cache``.
    """
    from sercache.experiment import filled
    from sercache.experiment import info as work

    request = filled(work.InfoOptions, "info", {"stores": stores, "by": by, **settings})
    with told(progress, request, settings):
        found = work.run(request)
        return work.grouped(found, request.by) if request.by else found


def verify(
    stores: AnyPath | Sequence[AnyPath] = (), *, progress: Progress = True, **settings: Any
) -> list[Verified]:
    """Check every checksum of the stores of the cache, or of those named; ``damage`` is empty of a whole one.

    ``settings`` are the options of ``sercache verify``: ``repair=True`` extracts what is damaged anew (``root``,
    ``device``), ``cache``. What keeps a store from being checked or repaired stands in ``fault``; where it is the only
    one, that is raised.
    """
    from sercache.experiment import filled
    from sercache.experiment import verify as work

    request = filled(work.VerifyOptions, "verify", {"stores": stores, **settings})
    with told(progress, request, settings):
        return work.run(request)


def doctor(dataset: str | Corpus, *, progress: Progress = True, **settings: Any) -> CheckUp:
    """A check-up of a copy of a corpus: completeness, broken files, equal sound; ``problems`` is empty of a clean one.

    ``settings`` are the options of ``sercache doctor``: ``root``, ``task``, ``deep``.
    """
    from sercache.experiment import doctor as work
    from sercache.experiment import filled

    called, corpus = corpus_of(dataset)
    request = filled(work.DoctorOptions, "doctor", {"dataset": called, **settings})
    with told(progress, request, settings):
        return work.check(request, corpus)
