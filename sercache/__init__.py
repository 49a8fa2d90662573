"""sercache: run a frozen speech encoder once, train any number of emotion heads from the cache.

Importing this package has no effects; the names below are fetched from where they lie when they are first used.
torch is loaded by what computes, so by everything but ``open_store``.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "Result",
    "Unfinished",
    "check",
    "compare",
    "convert",
    "details",
    "doctor",
    "draw_map",
    "evaluate",
    "export",
    "extract",
    "info",
    "lexical",
    "load_encoder",
    "merge",
    "new",
    "open_store",
    "predict",
    "probe",
    "prune",
    "pull",
    "push",
    "read_corpus",
    "reproduce",
    "robustness",
    "sweep",
    "table",
    "train",
    "transcribe",
    "verify",
    "write_pages",
]

if TYPE_CHECKING:
    from sercache.api import (
        check,
        compare,
        convert,
        details,
        doctor,
        draw_map,
        evaluate,
        export,
        extract,
        info,
        lexical,
        load_encoder,
        merge,
        new,
        predict,
        probe,
        prune,
        pull,
        push,
        read_corpus,
        reproduce,
        robustness,
        sweep,
        table,
        train,
        transcribe,
        verify,
        write_pages,
    )
    from sercache.evaluation import Unfinished
    from sercache.experiment.result import Result
    from sercache.stores import open as open_store


def __getattr__(name: str) -> Any:
    import sys

    if name == "open_store":
        from sercache import stores

        return stores.open
    if name == "Result":
        from sercache.experiment.result import Result

        return Result
    if name == "Unfinished":
        from sercache.evaluation import Unfinished

        return Unfinished
    if name in __all__:
        from sercache import api

        return getattr(api, name)
    fault = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(fault, name=name, obj=sys.modules[__name__])  # Python appends the nearest name


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING"})
