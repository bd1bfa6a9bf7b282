"""How a command of `bidi` ends that cannot do what it was asked."""

from __future__ import annotations

from typing import NoReturn

import typer

from sagemaker_bidi.shown import plain

FAILED = 1
USAGE = 2
INTERRUPTED = 130


def fail(error: object, status: int = FAILED) -> NoReturn:
    """Print `error: …` to standard error and end the process.

    Args:
        error: what went wrong and what to do; an OSError's file and words without its number.
        status: `USAGE` for a command line that cannot be used, `FAILED` for everything else.
    """
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    # A file's or a server's text may hold what commands a terminal; lines of ours stay lines.
    typer.echo("\n".join(map(plain, f"error: {text}".split("\n"))), err=True)
    raise typer.Exit(status) from None
