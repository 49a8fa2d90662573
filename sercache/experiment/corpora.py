"""Corpora as commands look for them: settings first, then what earlier extractions remembered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from sercache import advice, catalog, datasets, settings, stores, text
from sercache.datasets import Corpus
from sercache.errors import NotAtHandError, SercacheError, SettingsError, UnknownNameError
from sercache.experiment import corpus_table
from sercache.experiment.origin import known_origin
from sercache.progress import used, warn
from sercache.settings import Setting, Settings
from sercache.units import listed


@dataclass(frozen=True)
class _Made:
    """A corpus that a store was made from."""

    reader: str
    name: str
    """Empty for one of one's own, of a store that was made before these had names."""
    root: str
    release: str
    when: float
    """Last change of what is noted beside the store, in seconds."""
    encoding: str | None = None
    """How text was read, as the next."""
    labels_as_written: bool = False

    @property
    def place(self) -> Path:
        """The root, however it was written."""
        return Path(self.root).expanduser().resolve()


def cache_if_any(known: Settings, flag: Path | None = None) -> Path | None:
    """The cache folder, for what only looks there for a root; None where nobody named one and there is no home."""
    try:
        return Path(known.value("cache", flag).value).expanduser()
    except SettingsError:
        return None


def locate(dataset: str, flag: Path | None, known: Settings, cache: Path | None) -> tuple[str, Setting]:
    """What ``datasets.read`` takes for ``--dataset``, and the folder: flag, environment, file, or last extraction's.

    Raises SettingsError where nobody named a folder, UnknownNameError for a name that nobody gave.
    """
    return _located(dataset, flag, known, cache, _made(cache))


def _located(
    dataset: str, flag: Path | None, known: Settings, cache: Path | None, all_made: Sequence[_Made]
) -> tuple[str, Setting]:
    try:
        return _locate(dataset, flag, known, cache, all_made)
    except (NotAtHandError, UnknownNameError) as fault:
        name = datasets.named(dataset).name
        if not (tables := corpus_table.tables_of(name, cache)):
            raise
        if isinstance(fault, NotAtHandError):
            raise NotAtHandError(f"{fault}; {tables[0][0]} has its labels alone") from fault
        own = " or ".join(f"--dataset {reader}:{name}" for reader in datasets.readers())
        raise NotAtHandError(
            f"where are the recordings of {name}? {tables[0][0]} has its labels alone; give --root FOLDER, "
            f"and where the command takes it {own}"
        ) from fault


def _locate(
    dataset: str, flag: Path | None, known: Settings, cache: Path | None, all_made: Sequence[_Made]
) -> tuple[str, Setting]:
    asked = datasets.named(dataset)
    if not asked.is_own:
        return dataset, _root_of(asked, flag, known, cache, all_made)
    made = _own_of(asked.reader, asked.name, all_made)
    found = known.root(asked.name or asked.reader, flag)
    if found is not None:
        _check_variable(asked.name, found, all_made)
        if asked.reader:
            return dataset, found
        if made:
            return f"{made[0].reader}:{asked.name}", found
        if flag is not None:  # a name that stands nowhere may be a slip
            raise _unknown(asked.name, all_made, cache)
        return f"{datasets.reader_at(asked.name, Path(found.value).expanduser())}:{asked.name}", found
    if not made and not asked.reader:
        raise _unknown(asked.name, all_made, cache)
    one = _only(made, dataset, asked.name or asked.reader)
    name = asked.name or one.name
    return f"{one.reader}:{name}" if name else one.reader, Setting(one.root, "as last extracted")


def _unknown(name: str, all_made: Sequence[_Made], cache: Path | None) -> UnknownNameError:
    """What to raise for a name that nothing bears which can be read."""
    told = datasets.unknown(name, _names(all_made))
    unread = (
        [path for path, found in stores.find_all(cache) if isinstance(found, SercacheError)] if cache else []
    )
    if unread:
        told += f"; of the cache {listed(unread, 3)} cannot be read: {advice.command('info')} says why"
    return UnknownNameError(told)


def _check_variable(name: str, found: Setting, all_made: Sequence[_Made]) -> None:
    """Raises SettingsError where a variable that several names share says where another one of these lies."""
    if not name or found.source != settings.root_variable(name):
        return
    place = Path(found.value).expanduser().resolve()
    there = {each.name for each in all_made if each.place == place}
    others = sorted(each for each in there - {name} if settings.root_variable(each) == found.source)
    if others and name not in there:
        raise SettingsError(
            f"{found.source} says where {others[0]} lies, which shares that variable with {name}; give --root FOLDER, "
            f"or run: {advice.command('config', f'roots.{name}=FOLDER')}"
        )


def read_corpus(
    dataset: str, flag: Path | None, known: Settings, cache: Path | None
) -> tuple[Corpus, Setting]:
    """The corpus as it lies on disk; says where, how much, and what differs from its published tables."""
    made = _made(cache)
    asked, root = _located(dataset, flag, known, cache, made)
    folder = Path(root.value).expanduser()
    with _as_extracted(folder, made):
        corpus = datasets.read(asked, folder)
    if corpus.reader:
        corpus = _as_called_before(corpus, asked, root, made)
    tell(corpus, f"in {root}")
    return corpus, root


def tell(corpus: Corpus, where: str) -> None:
    """Say what was read, and what its reader remarks."""
    read_by = f" ({corpus.reader})" if corpus.reader else ""
    named = f"{corpus.name}{read_by} {corpus.release}".rstrip()
    used("corpus", f"{named}, {len(corpus.utterances)} utterances {where}")
    for line in corpus.warnings:
        warn(line)
    for item in corpus.skipped[:5]:
        warn(f"left out {item.what}: {item.reason}")
    if len(corpus.skipped) > 5:
        warn(f"left out {len(corpus.skipped) - 5} more")


def is_known(dataset: str, known: Settings, cache: Path) -> bool:
    """Whether somebody said where the corpus lies."""
    try:
        locate(dataset, None, known, cache)
    except (SettingsError, UnknownNameError):
        return False
    return True


def _root_of(
    asked: datasets.Named, flag: Path | None, known: Settings, cache: Path | None, all_made: Sequence[_Made]
) -> Setting:
    """The folder of a corpus with a reader of its own. Raises SettingsError."""
    name = asked.name
    found = known.root(name, flag)
    if found:
        return found
    if catalog.load("sercache.datasets", asked.reader).INFO.generated:
        cache = cache or Path(known.value("cache").value)  # it is written there
        return Setting(str(cache / f"{name}-corpus"), "made at first use")
    made = [each for each in all_made if each.name == name]
    if made:
        return Setting(max(made, key=lambda each: each.when).root, "as last extracted")
    raise NotAtHandError(_where(name, name))


def _where(dataset: str, name: str) -> str:
    variable = settings.root_variable(name)
    set_it = f"set {variable}, " if variable else ""
    return f"where is {dataset}? give --root FOLDER, {set_it}or run: {advice.command('config', f'roots.{name}=FOLDER')}"


def _made(cache: Path | None) -> list[_Made]:
    """What the stores of the cache were made from, where they say so."""
    if cache is None:
        return []
    own, found = datasets.readers(), []
    for folder, spec in stores.find(cache):
        origin = known_origin(folder)
        reader = str(origin.get("dataset", spec.corpus)).partition(":")[0]
        if origin.get("root"):
            name = "" if spec.corpus in own else spec.corpus
            when = stores.notes_folder(folder).stat().st_mtime
            text_as = origin.get("encoding"), bool(origin.get("labels_as_written"))
            found.append(_Made(reader, name, str(origin["root"]), spec.release, when, *text_as))
    return found


def as_extracted(root: Path, cache: Path | None) -> AbstractContextManager[None]:
    """Read text as the last extraction into ``cache`` from this place did, but for what the call says itself."""
    return _as_extracted(root, _made(cache))


def _as_extracted(root: Path, all_made: Sequence[_Made]) -> AbstractContextManager[None]:
    """Read text as the last extraction from this place did, but for what the call says itself."""
    made = [each for each in all_made if each.place == root.resolve()]
    last = max(made, key=lambda each: each.when, default=None)
    if last is None:
        return nullcontext()
    return text.reading_as(None if text.reading().encoding else last.encoding, last.labels_as_written)


def _own_of(reader: str, name: str, all_made: Sequence[_Made]) -> list[_Made]:
    """Earlier extractions of corpora of one's own, by this reader and of this name where they are given."""
    made = [each for each in all_made if each.reader in ([reader] if reader else datasets.readers())]
    if not name:
        return made
    # Of what was made before there were names, the corpus itself says what it is called.
    return [each for each in made if each.name == name] or [
        replace(each, name=name) for each in made if not each.name and _name_at(each) == name
    ]


def _name_at(made: _Made) -> str | None:
    try:
        with _as_extracted(made.place, [made]):
            return datasets.read(made.reader, made.place).name
    except SercacheError:
        return None


def _names(all_made: Sequence[_Made]) -> list[str]:
    """Names of the corpora of one's own that the cache holds."""
    own = datasets.readers()
    return sorted({each.name for each in all_made if each.reader in own and each.name})


def _only(made: Iterable[_Made], dataset: str, key: str) -> _Made:
    """The one corpus that these are. Raises SettingsError where they are none or several."""
    latest = sorted(made, key=lambda each: (not each.name, -each.when))
    there = [each for each in latest if each.place.exists()]
    if not latest:
        raise NotAtHandError(_where(dataset, key))
    if not there:
        raise NotAtHandError(
            f"{dataset} lay in {latest[0].root}, which is not there now; {_where(dataset, key)}"
        )
    names, places = {each.name for each in there if each.name}, {each.place for each in there}
    if len(names) <= 1 and (len(places) == 1 or len({each.release for each in there}) == 1):
        return there[0]
    by_place = {(each.name, each.place): each for each in reversed(there)}.values()
    listed = "; ".join(f"{each.name or each.reader} in {each.root}" for each in by_place)
    raise SettingsError(
        f"{dataset} can be any of {len(by_place)} that were extracted: {listed}; name one with --dataset NAME, or "
        "point to it with --root"
    )


def _as_called_before(corpus: Corpus, asked: str, root: Setting, all_made: Sequence[_Made]) -> Corpus:
    """The corpus under the name by which it was extracted from here, unless another one is asked for.

    Warns of another table of the same name.
    """
    made = [each for each in all_made if each.reader == corpus.reader]
    here = {place.resolve() for place in (corpus.root, corpus.table, Path(root.value).expanduser()) if place}
    if not datasets.named(asked).name:
        names = {each.name for each in made if each.place in here and each.release == corpus.release} - {""}
        if len(names) == 1:
            corpus = replace(corpus, name=names.pop())
    for each in {
        each.place: each for each in made if each.place not in here and each.place.exists()
    }.values():
        rename = f"to give this one a name of its own: --dataset {corpus.reader}:NAME"
        if corpus.goes_by(each.name or each.reader, each.release):
            warn(
                f"{each.root} was extracted with the same table, as {each.name or each.reader}: its recordings are "
                f"taken to be these; where they are not, {rename}"
            )
        elif each.name == corpus.name:
            warn(
                f"{each.root} was extracted as {corpus.name} too (release {each.release}): features and runs are told "
                f"apart by release; {rename}"
            )
    return corpus
