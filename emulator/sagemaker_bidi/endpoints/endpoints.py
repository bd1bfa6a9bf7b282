"""Endpoints, their variants and the containers behind them (O8)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sagemaker_bidi.contract.errors import Refused, no_such_endpoint
from sagemaker_bidi.contract.opening import ENDPOINT_NAME
from sagemaker_bidi.contract.traffic import Traffic

ACCOUNT = "123456789012"
DEFAULT_VARIANT = "AllTraffic"
_USER = re.compile(r"//[^/?#]*@")


@dataclass(frozen=True, slots=True)
class Variant:
    """A production variant: one container and its share of the traffic.

    Args:
        name: as clients name it in TargetVariant.
        url: `ws://HOST:PORT` of the container, or `https://HOST:PORT/NAME` of an endpoint of
            SageMaker's that stands in for one.
        weight: share of the traffic, relative to the other variants'.
        container: the container's name in error messages; SageMaker's default is `primary` (O4).
    """

    name: str
    url: str
    weight: float = 1.0
    container: str = "primary"

    @property
    def upstream(self) -> bool:
        """Whether an endpoint of SageMaker's stands behind it in place of a container."""
        return self.url.startswith("https:")


@dataclass(slots=True)
class Endpoint:
    """An endpoint and its variants.

    Raises:
        ValueError: no variant can be chosen, or two share a name (O8).
    """

    name: str
    variants: tuple[Variant, ...]
    _traffic: Traffic = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shares = [(variant.name, variant.weight) for variant in self.variants]
        self._traffic = Traffic(self.name, shares)

    def choose(self, target: str | None) -> Variant:
        """The variant for an invocation.

        Raises:
            Refused: `target` names none of the variants (O8).
        """
        name = self._traffic.choose(target)
        return next(variant for variant in self.variants if variant.name == name)


class Endpoints:
    """All endpoints of the emulator, by name."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints}

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._endpoints.values())

    def find(self, name: str) -> Endpoint:
        """The endpoint of that name.

        Raises:
            Refused: there is none (O5).
        """
        if name in self._endpoints:
            return self._endpoints[name]
        known = ", ".join(sorted(self._endpoints)) or "none"
        raise Refused(
            no_such_endpoint(name, ACCOUNT, f"no endpoint is named {name!r}; configured: {known}")
        )


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


def endpoints_from_urls(urls: Mapping[str, str]) -> list[Endpoint]:
    """One endpoint with a single variant for each name and container address."""
    return [
        Endpoint(name, (Variant(DEFAULT_VARIANT, container_url(url)),))
        for name, url in urls.items()
    ]
