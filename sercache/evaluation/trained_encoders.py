"""Encoders that were trained by runs before features were extracted with them: what trained them tests nothing.

The record of an exported encoder travels beside its weights, then beside the features (``sercache.trained_on``). It is
judged as that of runs that gave initial weights is: by names and releases of corpora, and by digests of the audio.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sercache import extraction
from sercache.datasets import Corpus
from sercache.errors import SettingsError
from sercache.evaluation.material import Material
from sercache.evaluation.unseen import keys_of
from sercache.protocols import Fold
from sercache.record import Recording, Report, Run, TrainedEncoder
from sercache.stores import FeatureStore
from sercache.trained_on import TrainedOn, Tuning
from sercache.units import listed

_BY = "encoder"


@dataclass(frozen=True, eq=False)
class EncoderRecord:
    """What the encoder of one store was trained on."""

    encoder: str
    record: TrainedOn

    @property
    def recorded(self) -> TrainedEncoder:
        """What a report says of it."""
        return TrainedEncoder(
            self.encoder,
            self.record.weights_sha256,
            ", then ".join(map(str, self.record.tunings)),
            tuple(name for name, _ in self.record.corpora),
            tuple(release for _, release in self.record.corpora),
        )


def encoder_records(stores: Iterable[FeatureStore]) -> tuple[EncoderRecord, ...]:
    """One for each encoder among these stores that a run trained. Raises DamagedStoreError."""
    found: dict[str, EncoderRecord] = {}
    for store in stores:
        record = extraction.training_record(store)
        if record is not None:
            found.setdefault(record.weights_sha256, EncoderRecord(store.spec.shown, record))
    return tuple(found.values())


def recordings_of(records: Iterable[EncoderRecord]) -> tuple[Recording, ...]:
    """What these encoders were trained on, as far as it is known."""
    return tuple(
        Recording(corpus, id, digest, _BY)
        for each in records
        for corpus, ids in (each.record.recordings or {}).items()
        for id, digests in ids.items()
        for digest in digests
    )


def check_encoders(
    material: Material, corpus: Corpus, records: Sequence[EncoderRecord], duplicates: str | None
) -> tuple[str, ...]:
    """A remark for each of these encoders: whether it was trained on what the folds test.

    Raises SettingsError where it did, or may have, and nobody said to keep that.
    """
    if not any(fold.test for fold in material.folds):
        return tuple(str(each.recorded) for each in records)
    return tuple(_check(material, corpus, each, duplicates) for each in records)


def _check(material: Material, corpus: Corpus, encoder: EncoderRecord, duplicates: str | None) -> str:
    recordings, about = encoder.record.recordings, str(encoder.recorded)
    called = [name for name, release in encoder.record.corpora if corpus.is_called(name, release)]
    if recordings is None:
        line = f"{about}, but on which recordings is not recorded"
        if not called:
            return f"{line}: whether it was trained on test utterances is not known"
        line = f"{line}: it may have been trained on any test utterance of {corpus.name}"
    else:
        found = _tests_among(material, called, recordings)
        if not found:
            return (
                f"{about}; none of the test utterances is among its training data (checked by id and audio)"
            )
        n_tested = len({id for fold in material.folds for id in fold.test})
        shown = listed(_named(material.folds, found))
        id, before = next(iter(found.items()))
        line = (
            f"{about}: {len(found)} of {n_tested} test utterances are among its training data, first: {id} = {before} "
            f"(folds that test such: {shown})"
        )
    if duplicates == "keep":
        return f"{line}; they are counted (duplicates keep), though they are no test"
    raise SettingsError(
        f"{line}; test on other utterances (--protocol fixed:FILE names the parts), take another encoder, or count "
        "these with --duplicates keep"
    )


def _tests_among(
    material: Material, called: Collection[str], recordings: Mapping[str, Mapping[str, tuple[str, ...]]]
) -> dict[str, str]:
    """Test utterances that are among ``recordings``: id -> corpus and utterance there."""
    audio = material.main.audio or {}
    known = {
        digest: f"{name} {id}"
        for name, ids in recordings.items()
        for id, own in ids.items()
        for digest in own
    }
    by_id = {id: f"{name} {id}" for name in called for id in recordings.get(name, ())}
    found: dict[str, str] = {}
    for id in sorted({id for fold in material.folds for id in fold.test}):
        before = next((known[key] for key in keys_of(audio, id) if key in known), by_id.get(id))
        if before is not None:
            found[id] = before
    return found


def _named(folds: Sequence[Fold], found: Collection[str]) -> list[str]:
    """Names of the folds that test some of these."""
    return [fold.name for fold in folds if not set(found).isdisjoint(fold.test)]


def training_of(report: Report, run: Run, folder: str, before: TrainedOn | None) -> TrainedOn:
    """What the encoder of one training of a run was trained on: all that any of them did but what its fold held out.

    ``before`` is what the encoder had been trained on when the run began; ``folder`` the run's name. The digest of
    the weights is to be filled in.
    """
    tuning = Tuning(folder, report.head, report.corpus["name"], run.fold, run.seed, _experiment(report))
    corpora = [*(before.corpora if before else ()), *report.seen]
    recordings: dict[str, dict[str, tuple[str, ...]]] | None = None
    if report.recordings is not None and (before is None or before.recordings is not None):
        recordings = {name: dict(ids) for name, ids in (before.recordings or {}).items()} if before else {}
        for each in _trained_in(report, run.fold):
            own = recordings.setdefault(each.corpus, {})
            own[each.id] = tuple(dict.fromkeys((*own.get(each.id, ()), each.audio)))
    return TrainedOn(
        "", (*(before.tunings if before else ()), tuning), tuple(dict.fromkeys(corpora)), recordings
    )


def _trained_in(report: Report, fold: str) -> list[Recording]:
    """What the trainings of one fold were trained on."""
    tested = {each.id for each in report.predictions if each.fold == fold}
    name, recordings = report.corpus["name"], report.recordings or ()
    held_out = [each for each in recordings if each.by != _BY and each.corpus == name and each.id in tested]
    # Trainings that keep duplicates apart leave out what equals a test recording, under whatever id.
    apart = {each.audio for each in held_out} if report.setup.get("duplicates") == "apart" else set()
    gone = set(held_out)
    return [
        each
        for each in recordings
        if each not in gone and not (each.by != _BY and each.corpus == name and each.audio in apart)
    ]


def _experiment(report: Report) -> str:
    return report.experiment.digest if report.experiment else ""
