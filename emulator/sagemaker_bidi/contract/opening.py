"""An invocation's request: path and headers, their patterns and lengths (W1, W2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from sagemaker_bidi.contract.errors import (
    Refused,
    input_validation_error,
    unknown_operation,
    unsupported_media_type,
)

EVENT_STREAM = "application/vnd.amazon.eventstream"
CONTAINER_PATH = "/invocations-bidirectional-stream"

TARGET_VARIANT = "x-amzn-sagemaker-target-variant"
INVOCATION_PATH = "x-amzn-sagemaker-model-invocation-path"
QUERY_STRING = "x-amzn-sagemaker-model-query-string"
INFERENCE_ID = "x-amzn-sagemaker-inference-id"
SESSION_ID = "x-amzn-sagemaker-session-id"
REQUEST_ID = "x-amzn-sagemaker-request-id"
INVOKED_VARIANT = "x-amzn-invoked-production-variant"

_TARGET = (INVOCATION_PATH, QUERY_STRING)
_ROUTE = re.compile(r"/endpoints/([^/]*)/invocations-bidirectional-stream")
_NAME = r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*"
_PATH = r"^[A-Za-z0-9\-._]+(?:/[A-Za-z0-9\-._]+)*$"
_PAIR = r"[a-zA-Z0-9][A-Za-z0-9_-]*=(?:[A-Za-z0-9\-._~]|%[0-9A-Fa-f]{2})+"
_QUERY = rf"^{_PAIR}(?:&{_PAIR})*$"


@dataclass(frozen=True, slots=True)
class _Field:
    member: str
    pattern: str
    longest: int

    def check(self, value: str) -> str:
        if len(value) > self.longest:
            raise Refused(
                input_validation_error(
                    f"1 validation error detected: Value at '{self.member}' failed to satisfy "
                    f"constraint: Member must have length less than or equal to {self.longest} "
                    f"(it has {len(value)})"
                )
            )
        if not re.fullmatch(self.pattern.removeprefix("^").removesuffix("$"), value):
            raise Refused(
                input_validation_error(
                    f"1 validation error detected: Value '{value}' at '{self.member}' failed to "
                    "satisfy constraint: Member must satisfy regular expression pattern: "
                    f"{self.pattern}"
                )
            )
        return value


ENDPOINT_NAME = _Field("endpointName", _NAME, 63)
_VARIANT = _Field("targetVariant", _NAME, 63)
_INVOCATION_PATH = _Field("modelInvocationPath", _PATH, 100)
_QUERY_STRING = _Field("modelQueryString", _QUERY, 2048)


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a client asked for (W2).

    Args:
        endpoint: the endpoint's name.
        target_variant: the variant that the client insists on, or None (O8).
        container_path: path and query of the container's WebSocket, with its leading slash (O2).
        forwarded: the client's headers that the container gets to see (O9).
    """

    endpoint: str
    target_variant: str | None
    container_path: str
    forwarded: tuple[tuple[str, str], ...]


def read_route(method: str, path: str) -> str:
    """The endpoint's name from a request's line, not checked yet.

    Args:
        path: as it came, percent-encoded, without a query.

    Raises:
        Refused: the request is not this operation's (W1).
    """
    route = _ROUTE.fullmatch(path)
    if method != "POST" or route is None:
        raise Refused(unknown_operation(method, path))
    return unquote(route[1])


def read_invocation(
    endpoint: str, headers: Iterable[tuple[str, str]], *, ignore_empty: bool = False
) -> Invocation:
    """Check a request's endpoint name and headers (W2).

    Args:
        endpoint: from `read_route`.
        headers: names in lower case.
        ignore_empty: an empty invocation path or query string counts as none; else it is refused.

    Raises:
        Refused: with the refusal to send.
    """
    fields = dict(headers)
    content_type = fields.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != EVENT_STREAM:
        raise Refused(unsupported_media_type(content_type))
    variant = fields.get(TARGET_VARIANT)
    return Invocation(
        ENDPOINT_NAME.check(endpoint),
        None if variant is None else _VARIANT.check(variant),
        _container_path(*(_given(fields, name, ignore_empty) for name in _TARGET)),
        tuple((name, fields[name]) for name in (INFERENCE_ID, SESSION_ID) if name in fields),
    )


def _given(fields: Mapping[str, str], name: str, ignore_empty: bool) -> str | None:
    value = fields.get(name)
    return None if ignore_empty and not value else value


def _container_path(path: str | None, query: str | None) -> str:
    target = CONTAINER_PATH if path is None else "/" + _INVOCATION_PATH.check(path)
    return target if query is None else f"{target}?{_QUERY_STRING.check(query)}"
