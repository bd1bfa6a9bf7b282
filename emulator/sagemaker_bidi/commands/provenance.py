"""The option `--provenance` of what makes recordings."""

from __future__ import annotations

import typer

from sagemaker_bidi.commands.failing import USAGE, fail
from sagemaker_bidi.recordings.format import PROVENANCES, Origin

PROVENANCE = typer.Option(
    "--provenance", help=f"What answers: {', '.join(map(repr, PROVENANCES))}."
)


def provenance(text: str) -> Origin:
    """Read the option; ends the process with `USAGE` where it is none of them."""
    if text not in PROVENANCES:
        fail(f"--provenance {text!r}: expected one of {', '.join(PROVENANCES)}", USAGE)
    return text
