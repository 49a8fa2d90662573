"""Which utterances of a corpus are worth features: those of a task, in a language, the first of them."""

from __future__ import annotations

from sercache.datasets import Corpus, Utterance
from sercache.errors import SettingsError
from sercache.progress import used


def chosen_utterances(
    corpus: Corpus, task: str | None, language: str | None = None, limit: int | None = None
) -> list[Utterance]:
    """Utterances with a class or numbers for ``task`` (``all``: every one), in corpus order, at most ``limit``.

    ``language`` (``zh``) keeps those in it, whatever the region.

    Says how many of the corpus they are. Raises SettingsError where none is left.
    """
    members = set() if task == "all" else set(corpus.members(task))
    chosen = [u for u in corpus.utterances if task == "all" or u.id in members]
    if not chosen and task is None:  # a corpus without labels is still worth its features
        chosen = list(corpus.utterances)
    chosen = [u for u in chosen if language in (None, u.language.split("-")[0])]
    if not chosen and language:
        raise SettingsError(f"no utterance of {corpus.name} is in language {language}")
    if not chosen:
        raise SettingsError(f"task {task or corpus.info.default_task} labels no utterance of {corpus.name}")
    if len(chosen) < len(corpus.utterances):
        named = task or corpus.info.default_task
        spoken = f" in {language}" if language else ""
        used(
            "",
            f"{len(chosen)} of the {len(corpus.utterances)} utterances of {corpus.name}{spoken} carry a label of task "
            f"{named} (--task all takes the rest too)",
        )
    return chosen[:limit]
