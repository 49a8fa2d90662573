"""Object stores: which addresses mean one, and the folder of this machine that stands for each.

``s3://bucket/prefix`` is known to the rest of the house as a folder below ``copies()``, whose path says the address.
What is small (records, notes) is kept there as a copy; features stay where they are and are read by ranges.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from sercache.errors import SettingsError

VARIABLE = "SERCACHE_OBJECTS"
"""The environment variable that names the folder."""
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):/{1,3}(?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Scheme:
    """What is done with addresses that begin so."""

    writes: bool = True
    """Whether it lists and takes what is written; else it gives files whose names are known."""
    credentials: str = ""
    """What to set where it does not say who asks."""
    endpoints: tuple[str, ...] = ()
    """Environment variables that name another server than the owner's of the scheme."""


SCHEMES = {
    "s3": Scheme(
        credentials="set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION",
        endpoints=("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"),
    ),
    "gs": Scheme(
        credentials="set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account",
        endpoints=("GOOGLE_BASE_URL",),
    ),
    "az": Scheme(
        credentials="set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
        endpoints=("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
    ),
    "http": Scheme(writes=False, credentials="have the server give its files without a password"),
    "https": Scheme(writes=False, credentials="have the server give its files without a password"),
}

_COLLAPSED = re.compile(rf"\b({'|'.join(SCHEMES)}):/(?=[\w.])")


@dataclass(frozen=True, slots=True)
class ObjectAddress:
    """A place in an object store."""

    scheme: str
    bucket: str
    """Bucket, container or host."""
    key: str
    """Below it, without slashes at its ends."""

    @property
    def root(self) -> str:
        """Address of the bucket."""
        return f"{self.scheme}://{self.bucket}"

    @property
    def writes(self) -> bool:
        """Whether it can be listed and written to."""
        return SCHEMES[self.scheme].writes

    def __str__(self) -> str:
        return f"{self.root}/{self.key}".rstrip("/")


def is_address(text: str | os.PathLike[str]) -> bool:
    """Whether a text, or a path made of one, begins with a scheme."""
    return bool(_ADDRESS.fullmatch(os.fspath(text)))


def folder_of(address: str | os.PathLike[str]) -> Path:
    """The folder that stands for an address. Raises SettingsError for a scheme, or an address, that means nothing."""
    match = _ADDRESS.fullmatch(os.fspath(address))
    if match is None or match["scheme"] not in SCHEMES:
        scheme = match["scheme"] if match else os.fspath(address)
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise SettingsError(f"{scheme}:// is no place for feature stores (there is: {known}, and folders)")
    bucket, *parts = [part for part in match["rest"].split("/") if part] or [""]
    if not bucket or {".", ".."} & {bucket, *parts}:
        raise SettingsError(
            f"{match['scheme']}://{match['rest']} names no place; write {match['scheme']}://BUCKET/PREFIX"
        )
    return copies().joinpath(match["scheme"], bucket, *parts)


def place_of(path: Path) -> ObjectAddress | None:
    """The place that a folder or file below ``copies()`` stands for; None for any other path."""
    parts = str(path).removeprefix(f"{copies()}/")
    if len(parts) == len(str(path)):
        return None
    scheme, _, rest = parts.partition("/")
    bucket, _, key = rest.partition("/")
    return ObjectAddress(scheme, bucket, key) if scheme in SCHEMES and bucket else None


def copies() -> Path:
    """The folder: ``$SERCACHE_OBJECTS``, or ``sercache-objects`` in the user's folder of caches."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "sercache-objects"
    except (RuntimeError, KeyError):
        return Path("/nonexistent/sercache-objects")


def shown(text: str) -> str:
    """A message with addresses in the place of the folders that stand for them."""
    base = f"{copies()}/"
    for scheme in SCHEMES if base in text else ():
        text = text.replace(f"{base}{scheme}/", f"{scheme}://")
    return _COLLAPSED.sub(r"\1://", text)  # as a Path has an address


def refuse(path: Path, doing: str, remedy: str) -> None:
    """Raise SettingsError where ``path`` lies in an object store, for what is done in folders only."""
    if place := place_of(path):
        raise SettingsError(f"{doing} works in folders only, and {place} is an object store: {remedy}")


def check_writable(path: Path) -> None:
    """Raise SettingsError where ``path`` lies where nothing can be written, or a request to it cannot be made."""
    place = place_of(path)
    if place is None:
        return
    if not place.writes:
        takes = ", ".join(f"{name}://" for name, scheme in SCHEMES.items() if scheme.writes)
        raise SettingsError(f"{place} is for reading only: give a folder, or one of {takes}")
    from sercache.objects.bucket import bucket_of

    bucket_of(place).folders(place.key)  # credentials, bucket and server
