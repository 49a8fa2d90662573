"""The Hugging Face hub: what is asked of it, and its faults in one line each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sercache.errors import HubError, SettingsError
from sercache.units import size

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Kind = Literal["dataset", "model"]
"""Of a repository: stores are datasets, runs are models."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_AGAIN = "run the same command again, which goes on from where this one stopped"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository."""

    path: str
    n_bytes: int
    sha256: str = ""
    """Of its content; empty for a small one, which git keeps itself."""
    git_sha1: str = ""
    """Of git's blob of it."""


def checked_name(repo: str) -> str:
    """``OWNER/NAME``, as given or behind an address of the hub. Raises SettingsError."""
    name = re.sub(r"^(https?://[^/]+/)?(datasets/|models/)?", "", repo.strip()).rstrip("/")
    if not _NAME.fullmatch(name):
        raise SettingsError(f"a repository of the hub is written OWNER/NAME, got {repo!r}")
    return name


def api() -> HfApi:
    """The hub's own client, which finds the token and HF_ENDPOINT by itself, and draws no bars of its own."""
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    return HfApi(library_name="sercache")


def check_token(hub: HfApi) -> None:
    """Raises HubError where nobody is logged in: nothing can be written then."""
    if hub.token is None and _token() is None:
        raise HubError("nobody is logged in to the hub: run `hf auth login`, or set HF_TOKEN")


def _token() -> str | None:
    from huggingface_hub import get_token

    return get_token()


def files_of(hub: HfApi, repo: str, kind: Kind, revision: str) -> dict[str, RemoteFile]:
    """The files of a repository at a revision, by path. Raises as ``faults_named``."""
    from huggingface_hub.hf_api import RepoFile

    found = {}
    for each in hub.list_repo_tree(repo, recursive=True, repo_type=kind, revision=revision):
        if isinstance(each, RepoFile):
            lfs = getattr(each, "lfs", None)
            sha256 = str(lfs.sha256) if lfs else ""
            found[each.path] = RemoteFile(each.path, int(each.size), sha256, "" if lfs else str(each.blob_id))
    return found


@contextmanager
def faults_named(repo: str) -> Iterator[None]:
    """Turn what the hub, or the way there, refuses into HubError with what to do."""
    from huggingface_hub import errors

    try:
        yield
    except errors.OfflineModeIsEnabled as fault:
        raise HubError(f"{repo} cannot be reached: HF_HUB_OFFLINE is set; unset it") from fault
    except errors.GatedRepoError as fault:
        raise HubError(
            f"{repo} asks for an agreement first: give it on {_address(repo)}, then run `hf auth login`"
        ) from fault
    except errors.RevisionNotFoundError as fault:
        raise HubError(f"{repo} has no such revision; leave --revision out for the newest") from fault
    except errors.RepositoryNotFoundError as fault:
        raise HubError(
            f"{repo} is not on {_endpoint()}, or private and not yours: check the name, or run `hf auth login`"
        ) from fault
    except errors.HFValidationError as fault:
        raise HubError(f"{repo} is no name of a repository: {_line(fault)}") from fault
    except (errors.HfHubHTTPError, RuntimeError, OSError, ValueError) as fault:
        if isinstance(fault, OSError) and fault.errno is not None and not _is_of_network(fault):
            raise  # of this machine's disk
        if words := _words(repo, fault):
            raise HubError(words) from fault
        raise
    except Exception as fault:
        if not _is_of_network(fault):
            raise
        raise HubError(f"{_endpoint()} cannot be reached ({_line(fault)}); {_AGAIN}") from fault


def _words(repo: str, fault: BaseException) -> str:
    """What is said of a fault, or of what caused it; empty for one that is not the hub's."""
    seen: BaseException | None = fault
    while seen is not None:
        status = getattr(getattr(seen, "response", None), "status_code", None)
        if isinstance(status, int):
            return _of_status(repo, status, seen)
        if _is_of_network(seen):
            return f"{_endpoint()} cannot be reached ({_line(seen)}); {_AGAIN}"
        if "Consistency check failed" in str(seen) or "LFS batch API" in str(seen):
            return f"what {repo} gave is not what it had promised ({_line(seen)}); {_AGAIN}"
        seen = seen.__cause__ or seen.__context__
    return f"{repo}: {_line(fault)}; {_AGAIN}" if type(fault).__module__.startswith("huggingface_hub") else ""


def _of_status(repo: str, status: int, fault: BaseException) -> str:
    said = f" ({_line(getattr(fault, 'server_message', None) or '')})".replace(" ()", "")
    if status == 401:
        return f"{_endpoint()} does not take the token{said}: run `hf auth login`, or look at HF_TOKEN"
    if status == 403:
        return f"{_endpoint()} forbids that on {repo}{said}: the token needs the right to write there"
    if status == 404:
        return f"{repo} is not on {_endpoint()}, or private and not yours{said}: check the name, or run `hf auth login`"
    if status in (429, 500, 502, 503, 504):
        return f"{_endpoint()} is busy or out of order, it answers {status}{said}; {_AGAIN}"
    return f"{_endpoint()} answers {status} for {repo}{said}"


def _is_of_network(fault: BaseException) -> bool:
    """Whether a fault is one of the way to the hub: of the HTTP client, whichever the hub's library uses."""
    modules = {kind.__module__.partition(".")[0] for kind in type(fault).__mro__}
    return bool(modules & {"httpx", "httpx2", "httpcore", "httpcore2", "requests"}) or isinstance(
        fault, ConnectionError | TimeoutError
    )


def _line(fault: object) -> str:
    text = " ".join(str(fault).split())
    return (text or type(fault).__name__)[:200]


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _address(repo: str) -> str:
    return f"{_endpoint()}/{repo}"


def told(n_files: int, n_bytes: int) -> str:
    """Files and bytes for people."""
    return f"{n_files} {'file' if n_files == 1 else 'files'}, {size(n_bytes)}"


def is_hidden(path: str) -> bool:
    """Whether a file of a repository is the hub's, not sercache's."""
    return path in ("README.md", ".gitattributes")


def stays_below(path: str) -> bool:
    """Whether a path that a repository names stays below the folder that it is put in, and is nothing hidden."""
    parts = path.split("/")
    return all(
        part and part.isprintable() and not part.startswith(".") and "\\" not in part for part in parts
    )
