"""Packages that are there only where an extra of ours, or the application, has installed them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

_PACKAGES = frozenset(
    {
        "aws_sdk_sagemaker_runtime_http2",
        "aws_sdk_signers",
        "awscrt",
        "fastapi",
        "numpy",
        "sagemaker_bidi_bridge",
        "sagemaker_bidi_client",
        "smithy_aws_core",
        "smithy_aws_event_stream",
        "smithy_core",
        "smithy_http",
        "soundfile",
        "soxr",
        "testcontainers",
        "uvicorn",
    }
)


class ExtraMissing(ImportError):
    """A package is missing that an extra installs; says which one, and how."""


@contextlib.contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Where an import inside finds an extra's package missing, say what to install.

    Args:
        extra: that installs it: `client`, `demo`, `containers`.
        what: needs it, in words.

    Raises:
        ExtraMissing: a package of the extra is not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in _PACKAGES:
            raise
        raise ExtraMissing(
            f"{what} needs {error.name}, which is not installed: "
            f"pip install 'sagemaker-bidi[{extra}]'",
            name=error.name,
        ) from error
