"""What an endpoint may be called, and where what stands behind it may be (W1, W2, O2)."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from sagemaker_bidi.contract.errors import Refused
from sagemaker_bidi.contract.opening import ENDPOINT_NAME

_USER = re.compile(r"//[^/?#]*@")


def without_user(url: str) -> str:
    """A URL for messages, which repeat no user's name and no password."""
    return _USER.sub("//…@", url, count=1)


def endpoint_name(name: str) -> str:
    """Check the name of an endpoint; gives it back.

    Raises:
        ValueError: says what names must be like, after the name that the caller puts before it.
    """
    try:
        return ENDPOINT_NAME.check(name)
    except Refused as refused:
        raise ValueError(
            "must have at most 63 letters, digits and hyphens, with no hyphen at either end (W2)"
        ) from refused


def container_url(url: str) -> str:
    """Check and normalise a container's address to `ws://HOST:PORT`, or an endpoint's.

    Args:
        url: `ws://HOST[:PORT]` or `http://HOST[:PORT]`, SageMaker's port 8080 unless given (O2);
            or `https://HOST[:PORT]/NAME`, an endpoint that stands in for a container, port 8443
            unless given (W1).

    Raises:
        ValueError: says what is wrong with it.
    """
    if (shown := without_user(url)) != url:
        raise ValueError(
            f"container address {shown!r} has a user or a password before the @, which nothing "
            "sends; leave it out"
        )
    try:
        parts = urlsplit(url)
        port = 8080 if parts.port is None else parts.port
    except ValueError as error:
        raise ValueError(f"container address {url!r}: {error}") from error
    if parts.scheme == "https":
        return _upstream_url(url)
    if parts.scheme not in ("ws", "http"):
        raise ValueError(f"container address {url!r} must begin with ws:// (SageMaker uses no TLS)")
    if not parts.hostname:
        raise ValueError(f"container address {url!r} names no host; write ws://HOST:PORT")
    if parts.path not in ("", "/") or parts.query:
        raise ValueError(
            f"container address {url!r} has a path; write ws://HOST:PORT. SageMaker's path is "
            "/invocations-bidirectional-stream; a client chooses another one with "
            "X-Amzn-SageMaker-Model-Invocation-Path (O2)"
        )
    if port == 0:
        raise ValueError(f"container address {url!r} has port 0, where nothing can listen")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"ws://{host}:{port}"


def _upstream_url(url: str) -> str:
    parts = urlsplit(url)
    name = parts.path.strip("/")
    if not parts.hostname or not name or parts.query or parts.port == 0:
        raise ValueError(
            f"container address {url!r} names an endpoint in place of a container; write "
            "https://HOST:8443/ENDPOINT-NAME"
        )
    try:
        ENDPOINT_NAME.check(name)
    except Refused as refused:
        raise ValueError(
            f"container address {url!r}: {name!r} cannot be an endpoint's name (W2)"
        ) from refused
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"https://{host}:{parts.port or 8443}/{name}"


# As a configuration has them: checked where it is read.
Name = Annotated[str, AfterValidator(endpoint_name)]
Address = Annotated[str, AfterValidator(container_url)]
