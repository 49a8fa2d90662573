"""Stores and runs to the Hugging Face hub, and from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sercache.api._arguments import AnyPath, Progress, told

if TYPE_CHECKING:
    from sercache.experiment import pull as pulling
    from sercache.experiment import push as pushing


def push(
    what: AnyPath, repo: str, licence: str | None = None, *, progress: Progress = True, **settings: Any
) -> pushing.Pushed:
    """Send the folder of a store or a run to the repository ``OWNER/NAME`` of the hub, checked, with a card.

    ``licence`` is that under which others may use it, as the hub writes it. ``settings`` are the options of
    ``sercache push``: ``public``, ``i_have_the_right``. Raises SettingsError without a licence, HubError.
    """
    from sercache.experiment import filled
    from sercache.experiment import push as work

    named: dict[str, Any] = {"what": what, "repo": repo, "licence": licence, **settings}
    request = filled(work.PushOptions, "push", named)
    with told(progress, request, settings):
        return work.run(request)


def pull(repo: str, *, progress: Progress = True, **settings: Any) -> pulling.Pulled:
    """Fetch a store or a run from the hub, checked; ``folder`` of what is given says where it is.

    ``settings`` are the options of ``sercache pull``: ``revision``, ``cache``, ``runs``, ``name``. Raises HubError,
    DamagedStoreError.
    """
    from sercache.experiment import filled
    from sercache.experiment import pull as work

    request = filled(work.PullOptions, "pull", {"repo": repo, **settings})
    with told(progress, request, settings):
        return work.run(request)
