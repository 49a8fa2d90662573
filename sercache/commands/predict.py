"""`sercache predict`: records as JSON lines or CSV, one a recording."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import click

from sercache import files, progress, signals
from sercache.commands.console import Terminal
from sercache.errors import AudioError
from sercache.experiment import predict, predicted_files
from sercache.progress import used, warn


def run(
    options: predict.PredictOptions, stream: IO[Any] | None, *, table_format: str, out: Path | None
) -> None:
    """Predict as asked. Raises SercacheError; AudioError at the end where recordings could not be predicted."""
    n_done = n_failed = 0
    is_live = options.watch is not None or stream is not None
    at_end = table_format in predicted_files.AT_THE_END
    if at_end:
        predicted_files.check(table_format, out, is_live)
    if out is not None:
        files.check_output(out, _ELSEWHERE)
        predict.check_out(options, out)
    with contextlib.ExitStack() as stack:
        stack.enter_context(progress.sent_to(Terminal(err=True)))
        answers = predict.run(options, stream=stream)
        write = stack.enter_context(_written(None if at_end else out, at_once=is_live))
        with_true, kept = options.dataset is not None, []
        if table_format == "csv":
            write(predicted_files.csv_line(predicted_files.heading(answers, with_true)))
        try:
            for each in answers.records:
                if at_end:
                    kept.append(each)
                elif table_format == "jsonl":
                    write(predicted_files.json_line(each))
                else:
                    write(predicted_files.csv_line(predicted_files.cells(each, answers, with_true)))
                n_done += each.error is None
                n_failed += each.error is not None
                if each.error is not None:
                    has_name = each.error.startswith(f"{each.id}: ")
                    warn(f"skipped {each.error if has_name else f'{each.id}: {each.error}'}")
        except KeyboardInterrupt as fault:
            if options.watch is None:  # nothing is kept to resume from
                words, code = signals.how(fault)
                click.echo(
                    f"{words}; {'nothing is written' if out and not is_live else 'the rest is not predicted'}",
                    err=True,
                )
                sys.exit(code)
            used("stopped", f"{options.watch} is no longer watched; {n_done} predicted")
        if at_end and out is not None:
            predicted_files.write(table_format, out, answers, kept, with_true)
            used("written", out)
    if n_failed:
        raise AudioError(
            f"{n_failed} of {n_done + n_failed} recordings could not be predicted"
            + ("; the rest is written" if n_done else "")
        )


@contextlib.contextmanager
def _written(out: Path | None, *, at_once: bool) -> Iterator[Callable[[str], None]]:
    """Writes to standard output, or to a file: whole at the end, or each record ``at_once``."""
    if out is None:
        yield lambda text: click.echo(text, nl=False)
        return
    if not at_once:
        lines: list[str] = []
        yield lines.append
        files.write_output(out, "".join(lines), _ELSEWHERE)
        used("written", out)
        return
    with out.open("w", encoding="utf-8", newline="") as file:

        def write(text: str) -> None:
            file.write(text)
            file.flush()

        yield write
    used("written", out)


_ELSEWHERE = "choose another file with --out"
