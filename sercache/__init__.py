"""sercache: run a frozen speech encoder once, train any number of emotion heads from the cache.

Importing this package has no effects and loads neither torch nor transformers; the names below are
fetched from sercache.api when they are first used.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["extract", "load_encoder", "open_store", "predict", "read_corpus", "table", "train"]

if TYPE_CHECKING:
    from sercache.api import extract, load_encoder, open_store, predict, read_corpus, table, train


def __getattr__(name: str) -> Any:
    if name in __all__:
        from sercache import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
