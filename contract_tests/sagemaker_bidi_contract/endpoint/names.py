"""Names, headers and paths: what is taken, and what is refused and how (W1, W2, O7, O8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sagemaker_bidi_contract.checks import ENDPOINT
from sagemaker_bidi_contract.endpoint.provenance import departs
from sagemaker_bidi_contract.endpoint.stage import EndpointStage
from sagemaker_bidi_contract.verdicts import Outcome, failed, informational, non_strict, ok
from sagemaker_bidi_contract.wire.duplex import (
    INVOCATION_PATH,
    QUERY_STRING,
    TARGET_VARIANT,
    ReceivedRefusal,
)

_LONGEST_NAME = 63
_LONGEST_PATH = 100
_LONGEST_QUERY = 2_048


@dataclass(frozen=True, slots=True)
class Bad:
    """A request that breaks W2.

    Args:
        id: of the check.
        title: of the check.
        headers: that are wrong.
        endpoint: a name that is wrong.
    """

    id: str
    title: str
    headers: Mapping[str, str] = field(default_factory=dict)
    endpoint: str = ""


_BAD = (
    Bad(
        "leading-slash",
        "An invocation path with a leading slash is refused",
        {INVOCATION_PATH: "/v1/realtime"},
    ),
    Bad("path-characters", "A path with a space is refused", {INVOCATION_PATH: "v1/real time"}),
    Bad(
        "long-path",
        f"A path of {_LONGEST_PATH + 1} characters is refused",
        {INVOCATION_PATH: "p" * (_LONGEST_PATH + 1)},
    ),
    Bad("bad-query", "A query string with no key is refused", {QUERY_STRING: "=value"}),
    Bad("query-characters", "A query string with a bare % is refused", {QUERY_STRING: "key=%zz"}),
    Bad(
        "long-query",
        f"A query string of {_LONGEST_QUERY + 1} characters is refused",
        {QUERY_STRING: "k=" + "v" * (_LONGEST_QUERY - 1)},
    ),
    Bad("variant-name", "A variant name that begins with - is refused", {TARGET_VARIANT: "-x"}),
    Bad(
        "long-variant",
        f"A variant name of {_LONGEST_NAME + 1} characters is refused",
        {TARGET_VARIANT: "v" * (_LONGEST_NAME + 1)},
    ),
    Bad(
        "long-endpoint-name",
        f"An endpoint name of {_LONGEST_NAME + 1} characters is refused",
        endpoint="e" * (_LONGEST_NAME + 1),
    ),
)


def _register(bad: Bad) -> None:
    @ENDPOINT.check(f"endpoint.{bad.id}", bad.title, clauses=("W2", "O7"), requires=("stream",))
    async def check(stage: EndpointStage) -> Outcome:
        refusal = await stage.ask(endpoint=bad.endpoint or stage.endpoint, headers=bad.headers)
        if refusal is None:
            return departs("W2", "the stream opened", expected="HTTP 400")
        if refusal.status != 400:
            return departs("W2", f"it was refused with {refusal}", expected="HTTP 400")
        return well_formed(refusal) or _validation(refusal)


for _bad in _BAD:
    _register(_bad)


def well_formed(refusal: ReceivedRefusal) -> Outcome | None:
    """What is wrong with the form of a refusal (O7), or None."""
    expected = "x-amzn-errortype, x-amzn-requestid, and JSON with a Message"
    if not refusal.type:
        return departs("O7", f"{refusal}", expected=expected)
    if refusal.body is None:
        return departs("O7", f"{refusal} has a body that is no JSON object", expected=expected)
    if not refusal.message:
        return departs("O7", f"{refusal} has no Message", expected=expected)
    if not refusal.request_id:
        return departs("O7", f"{refusal} has no x-amzn-requestid", expected=expected)
    return None


def _validation(refusal: ReceivedRefusal) -> Outcome:
    if refusal.type != "InputValidationError":
        return non_strict(
            f"{refusal}: {refusal.message}",
            expected="InputValidationError, which the service's model has for it",
        )
    return ok(f"{refusal}: {refusal.message}")


@ENDPOINT.check(
    "endpoint.query-string",
    "A query string with every kind of character is taken",
    clauses=("W2", "O2"),
    requires=("stream",),
)
async def query_string(stage: EndpointStage) -> Outcome:
    refusal = await stage.ask(headers={QUERY_STRING: "a_B-9=x.~_-%20%C3%A9&more=1"})
    if refusal is None:
        return ok("the stream opened")
    if refusal.status == 424:
        return informational("the container refused the upgrade with this query string (424)")
    return departs("W2", f"it was refused with {refusal}", expected="HTTP 200")


@ENDPOINT.check(
    "endpoint.target-variant",
    "TargetVariant chooses the variant",
    clauses=("O8", "W2"),
    requires=("stream",),
)
async def target_variant(stage: EndpointStage) -> Outcome:
    header = "x-amzn-invoked-production-variant"
    name = (await stage.open()).stream.headers.get(header, "")
    if not name:
        return failed(f"no {header} says which there is", expected="the variant's name (W2)")
    for _ in range(3):
        chosen = (await stage.open(headers={TARGET_VARIANT: name})).stream.headers.get(header)
        if chosen != name:
            return departs("O8", f"asked for {name}, got {chosen}", expected=name)
    return ok(f"asked for {name} three times, got it each time")


@ENDPOINT.check(
    "endpoint.unknown-variant",
    "A variant that the endpoint has not is refused with 400",
    clauses=("O8", "O5", "O7"),
    requires=("stream",),
)
async def unknown_variant(stage: EndpointStage) -> Outcome:
    refusal = await stage.ask(headers={TARGET_VARIANT: "no-such-variant-here"})
    if refusal is None:
        return departs("O8", "the stream opened on another variant", expected="a refusal")
    if refusal.status != 400:
        return departs("O5", f"it was refused with {refusal}", expected="HTTP 400")
    return well_formed(refusal) or ok(f"{refusal}: {refusal.message}")


@ENDPOINT.check(
    "endpoint.request-content-type",
    "Another content type than the event stream's is refused",
    clauses=("W1",),
    requires=("stream",),
)
async def request_content_type(stage: EndpointStage) -> Outcome:
    refusal = await stage.ask(content_type="application/json")
    if refusal is None:
        return non_strict("the stream opened", expected="a refusal of application/json")
    return _refused(refusal)


@ENDPOINT.check(
    "endpoint.method", "Another method than POST is refused", clauses=("W1",), requires=("stream",)
)
async def method(stage: EndpointStage) -> Outcome:
    refusal = await stage.ask(method="PUT")
    if refusal is None:
        return departs("W1", "PUT opened a stream", expected="a refusal")
    return _refused(refusal)


def _refused(refusal: ReceivedRefusal) -> Outcome:
    if not 400 <= refusal.status < 500:
        return departs("W1", f"{refusal}", expected="a 4xx")
    return ok(f"{refusal}")
