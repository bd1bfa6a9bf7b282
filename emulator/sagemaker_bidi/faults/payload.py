"""Payloads as a plan writes them: text, or base64 for any bytes."""

from __future__ import annotations

import base64
import binascii


def check_payload(text: str | None, encoded: str | None) -> None:
    """Refuse a payload that is given twice, or that is no base64.

    Raises:
        ValueError: says which field does not fit.
    """
    if text is not None and encoded is not None:
        raise ValueError("give either text or base64, not both")
    if encoded is not None:
        try:
            base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"base64 holds no base64: {error}") from error


def payload_of(text: str | None, encoded: str | None) -> bytes | None:
    """The bytes; None where neither is given."""
    if encoded is not None:
        return base64.b64decode(encoded)
    return None if text is None else text.encode()
