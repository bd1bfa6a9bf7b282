"""Writes reports to files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from sagemaker_bidi_contract.options import TargetError
from sagemaker_bidi_contract.report.html import to_html
from sagemaker_bidi_contract.report.json import to_json
from sagemaker_bidi_contract.report.junit import to_junit
from sagemaker_bidi_contract.verdicts import Report

FORMATS: Mapping[str, Callable[[Report], str]] = {
    "html": to_html,
    "json": to_json,
    "junit": to_junit,
}


def require_writable(wanted: Mapping[str, Path | None]) -> None:
    """Find out before a run whether its reports can be written; nothing is left behind.

    Args:
        wanted: a path, or None, for names of `FORMATS`.

    Raises:
        TargetError: a file cannot be written.
    """
    for name, path in wanted.items():
        # What is neither file nor folder, such as a pipe, takes what it is given once.
        if path is None or (path.exists() and not path.is_file() and not path.is_dir()):
            continue
        there = path.exists()
        try:
            path.open("ab").close()
        except OSError as error:
            why = error.strerror or error
            raise TargetError(f"--{name} {path}: no report can be written there: {why}") from error
        if not there:
            path.resolve().unlink()


def write(report: Report, wanted: Mapping[str, Path | None]) -> list[Path]:
    """Write the report in each wanted format.

    Args:
        report: of a run.
        wanted: a path, or None, for names of `FORMATS`.

    Returns:
        The files written.

    Raises:
        OSError: a file cannot be written.
    """
    written = []
    for name, path in wanted.items():
        if path is not None:
            path.write_text(FORMATS[name](report), "utf-8")
            written.append(path)
    return written
