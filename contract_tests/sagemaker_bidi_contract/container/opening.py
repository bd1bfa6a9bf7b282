"""Health, accept time, paths and headers: what happens before the first frame (K4, O2, O3, O9)."""

from __future__ import annotations

import uuid

from sagemaker_bidi_contract.checks import CONTAINER
from sagemaker_bidi_contract.container.stage import REQUEST_ID, ContainerStage
from sagemaker_bidi_contract.exchange import milliseconds
from sagemaker_bidi_contract.verdicts import (
    Outcome,
    failed,
    informational,
    non_strict,
    ok,
)

PING_SECONDS = 2.0
ACCEPT_SECONDS = 0.25
_ACCEPTS = 5
# One that is late may be the fault of the machine that both run on: with more of them it shows.
_MORE_ACCEPTS = 15


@CONTAINER.check(
    "container.ping-page", "GET /ping answers 200 within 2 s", clauses=("K4",), basis=()
)
async def ping_page(stage: ContainerStage) -> Outcome:
    page = await stage.get("/ping", within=3 * PING_SECONDS)
    stage.remember_ping(page.status == 200)
    expected = "HTTP 200 within 2 s"
    if page.status is None:
        return failed(f"GET /ping: {page.how}", expected=expected)
    if page.seconds > PING_SECONDS:
        advice = "answer from what is known already; SageMaker does not wait"
        return failed(f"GET /ping: {page.how}", expected=expected, advice=advice)
    if page.status != 200:
        advice = "SageMaker sends no sessions until /ping answers 200; is the model up?"
        return failed(f"GET /ping: {page.how}", expected=expected, advice=advice)
    return ok(f"GET /ping: {page.how}")


@CONTAINER.check(
    "container.accept-time", "The WebSocket is accepted within 250 ms", clauses=("O3", "O2")
)
async def accept_time(stage: ContainerStage) -> Outcome:
    times = [await _accept(stage) for _ in range(_ACCEPTS)]
    if 0 < _late(times) < len(times):
        times += [await _accept(stage) for _ in range(_MORE_ACCEPTS)]
    late = _late(times)
    said = f"accepted after {', '.join(milliseconds(seconds) for seconds in times)}"
    if late <= 1:
        return ok(said)
    expected = "each within 250 ms; the client gets a 424 otherwise"
    if late < len(times) / 2:
        return non_strict(f"{late} of {len(times)} late: {said}", expected=expected)
    advice = "load the model before /ping answers 200, and do nothing slow before accepting"
    return failed(said, expected=expected, advice=advice)


async def _accept(stage: ContainerStage) -> float:
    """Open a session and close it; gives the seconds until it was accepted."""
    answer = await stage.accepted()
    assert answer.stream is not None
    await answer.stream.close(1000)
    await answer.stream.dispose()
    return answer.seconds


def _late(times: list[float]) -> int:
    return sum(seconds > ACCEPT_SECONDS for seconds in times)


@CONTAINER.check(
    "container.query-string", "A query string does not change the path", clauses=("O2",)
)
async def query_string(stage: ContainerStage) -> Outcome:
    path = f"{stage.options.path}?language=en&hint=a%20b"
    answer = await stage.upgrade(path)
    if answer.stream is None:
        return non_strict(
            f"the upgrade on {path} was answered with {answer.words}",
            expected="HTTP 101: a client may send a query string",
        )
    return ok("accepted with a query string")


@CONTAINER.check(
    "container.other-path",
    "Another path is accepted or refused cleanly",
    clauses=("O2", "O4"),
    basis=(),
)
async def other_path(stage: ContainerStage) -> Outcome:
    answer = await stage.upgrade(f"/contract-check/{uuid.uuid4().hex[:8]}?a=b")
    if answer.status is None:
        # To a client it is the same 424 (O4); only who reads the container's log misses the status.
        return non_strict(
            "the upgrade on an unknown path ended TCP without an answer",
            expected="an HTTP status, such as 404",
        )
    if answer.stream is None:
        return informational(f"an unknown path is answered with {answer.words}")
    return informational("an unknown path is accepted")


@CONTAINER.check(
    "container.sagemaker-headers", "SageMaker's request headers are tolerated", clauses=("O9",)
)
async def sagemaker_headers(stage: ContainerStage) -> Outcome:
    headers = (
        (REQUEST_ID, str(uuid.uuid4())),
        ("X-Amzn-SageMaker-Inference-Id", "contract-check"),
        ("X-Amzn-SageMaker-Session-Id", "contract-check"),
        ("X-Amzn-Trace-Id", "Root=1-00000000-000000000000000000000000"),
    )
    with_headers = await stage.upgrade(headers=headers)
    without = await stage.upgrade(headers=())
    if with_headers.stream is None:
        return failed(
            f"an upgrade with SageMaker's headers was answered with {with_headers.words}",
            expected="HTTP 101",
        )
    if without.stream is None:
        return non_strict(
            f"an upgrade without a request id was answered with {without.words}",
            expected="HTTP 101: nobody documents that the header is always there",
        )
    return ok("accepted with and without them")


@CONTAINER.check(
    "container.extensions", "Nothing is negotiated that SageMaker did not offer", clauses=("O2",)
)
async def extensions(stage: ContainerStage) -> Outcome:
    answer = await stage.accepted()
    names = ("sec-websocket-extensions", "sec-websocket-protocol")
    if found := [name for name in names if name in answer.headers]:
        return failed(
            f"the 101 carries {', '.join(found)}", expected="neither, as neither was offered"
        )
    return ok("no extension, no subprotocol")
