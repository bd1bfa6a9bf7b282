"""What the container sees, and how its death looks, told through itself (O9, F5, E6)."""

from __future__ import annotations

import json
from typing import Any

from sagemaker_bidi_contract.checks import ENDPOINT
from sagemaker_bidi_contract.endpoint.provenance import departs
from sagemaker_bidi_contract.endpoint.stage import EndpointStage
from sagemaker_bidi_contract.obeying import COMMAND
from sagemaker_bidi_contract.verdicts import Outcome, Unmet, ok
from sagemaker_bidi_contract.wire.duplex import Duplex
from sagemaker_bidi_contract.wire.events import Event, WirePart
from sagemaker_bidi_contract.wire.http2_stream import StreamEnd

ANSWER_SECONDS = 10.0
OBEYING = ("stream", "obeying")
_STRIPPED = "x-contract-check"
_PREFIX = "x-amzn-sagemaker-"


async def tell(duplex: Duplex, command: str, **more: object) -> None:
    """Give the obeying container a command."""
    text = json.dumps({COMMAND: command, **more})
    await duplex.send(WirePart(text.encode(), "UTF8", "COMPLETE"))


async def ask(duplex: Duplex, command: str, **more: object) -> dict[str, Any]:
    """Give the obeying container a command that it answers.

    Raises:
        Unmet: no answer, or the container is another one.
    """
    await tell(duplex, command, **more)
    part = await duplex.part(ANSWER_SECONDS, f"the container's answer to {command!r}")
    try:
        answer = json.loads(part.data)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or COMMAND in answer:
        raise Unmet(
            f"the container answered {command!r} with {part}",
            "an answer of python -m sagemaker_bidi_contract.obeying, as --behind obeying says",
        )
    return answer


@ENDPOINT.check(
    "endpoint.container-headers",
    "The container gets the request id and the client's ids, not its signature or other headers",
    clauses=("O9",),
    requires=OBEYING,
)
async def container_headers(stage: EndpointStage) -> Outcome:
    given = {"Inference-Id": "contract-check-inference", "Session-Id": "contract-check-session"}
    headers = {f"{_PREFIX}{name.lower()}": value for name, value in given.items()}
    duplex = await stage.open(headers={**headers, _STRIPPED: "not for the container"})
    got = await ask(duplex, "request")
    wrong = [f"{name} is {got.get(name)!r}" for name in given if got.get(name) != given[name]]
    if not got.get("Request-Id"):
        wrong.append("there is no Request-Id")
    passed_on = {_STRIPPED, "authorization", "x-amz-date", "x-amz-security-token"}
    wrong += [f"{name} was passed on" for name in sorted(passed_on & set(got.get("headers", [])))]
    if wrong:
        expected = "Request-Id, Inference-Id and Session-Id, neither signature nor other headers"
        return departs("O9", "; ".join(wrong), expected=expected)
    return ok("Request-Id, the client's Inference-Id and Session-Id; neither signature nor others")


@ENDPOINT.check(
    "endpoint.container-pings",
    "A ping of the container's is answered with its own payload",
    clauses=("F5",),
    requires=OBEYING,
)
async def container_pings(stage: EndpointStage) -> Outcome:
    got = await ask(await stage.open(), "ping")
    if not got.get("pong"):
        return departs("F5", "the container got no pong for its ping", expected="a pong")
    return ok("the container's ping was answered")


@ENDPOINT.check(
    "endpoint.container-dies",
    "A container that dies without a Close frame is an error for the client",
    clauses=("E6", "E5", "E7"),
    requires=OBEYING,
    seconds=30,
)
async def container_dies(stage: EndpointStage) -> Outcome:
    duplex = await stage.open()
    await tell(duplex, "die")
    error, end = await error_and_end(duplex)
    expected = "ModelStreamError with the code StreamBroken, then END_STREAM"
    said = f"{error or 'no error'}, then {end.how}"
    if error is None or error.name != "ModelStreamError" or b"StreamBroken" not in error.payload:
        return departs("E6", said, expected=expected)
    return ok(said) if end.clean else departs("E7", said, expected=expected)


async def error_and_end(duplex: Duplex) -> tuple[Event | None, StreamEnd]:
    """Read to the end; gives the error that came before it.

    Raises:
        Unmet: no end in time.
    """
    error = None
    while isinstance(got := await duplex.receive(ANSWER_SECONDS, "the end of the stream"), Event):
        if got.is_error:
            error = got
    return error, got
