"""The container checks on containers that do one thing wrong, and on none at all."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.frames import Opcode
from websockets.utils import accept_key

from sagemaker_bidi_contract.container import keepalive
from sagemaker_bidi_contract.options import ContainerTarget, Options
from sagemaker_bidi_contract.targets import run_checks
from sagemaker_bidi_contract.verdicts import Report, Verdict
from sagemaker_bidi_contract.wire import reach
from sagemaker_bidi_fixtures.containers.connection import FrameSocket
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from sagemaker_bidi_fixtures.containers.misbehaving import (
    AcceptAfter,
    AnswerWith,
    CloseAfter,
    DieAfter,
    Fault,
    MisbehavingContainer,
    NeverPong,
    RefuseUpgrade,
    ScriptedFrame,
    SendPings,
)
from sagemaker_bidi_fixtures.containers.server import DATA_PATH, FrameServer, Ping
from tests.contract_tests.endpoints import emulated
from tests.contract_tests.running import check, check_one, told, unused_port

METADATA_PATH = f"{DATA_PATH}-metadata"
PATIENCE = 20.0  # seconds, for a machine that is busy
FOR_EVER = 3_600.0
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
ANNOUNCED = (("X-Amzn-SageMaker-Metadata-Stream-Supported", "true"),)


async def test_an_echo_container_passes_whatever_needs_no_bridge_and_no_vllm() -> None:
    async with EchoContainer(port=0) as container:
        report = await check(container.url)
    assert not told(report, Verdict.FAILED, Verdict.NON_STRICT)
    assert report.exit_status == 0
    skipped = {item.check for item in report.findings if item.verdict is Verdict.SKIPPED}
    assert {name.partition(".")[0] for name in skipped} == {"bridge", "realtime", "container"}
    assert "container.sigterm" in skipped
    assert "container.two-sessions" not in skipped


async def test_a_port_where_nothing_listens_is_one_failure_and_not_thirty() -> None:
    port = unused_port()
    report = await check(f"ws://127.0.0.1:{port}")
    first, *others = report.findings
    assert first.verdict is Verdict.FAILED
    assert f"nothing listens at 127.0.0.1:{port} (Connection refused)" in first.summary
    assert {item.verdict for item in others} == {Verdict.SKIPPED}
    assert report.exit_status == 1


def only_failure(report: Report) -> str:
    """What the one failure says, where all other checks are skipped."""
    first, *others = report.findings
    assert first.verdict is Verdict.FAILED
    assert {item.verdict for item in others} == {Verdict.SKIPPED}
    return first.summary


@pytest.mark.parametrize("scheme", ["ws", "https"])
async def test_a_name_that_does_not_resolve_is_told_as_such(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*arguments: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    report = await run_checks(f"{scheme}://nohost.invalid:80", Options(endpoint_name="any"))
    assert only_failure(report) == (
        "the name 'nohost.invalid' does not resolve to an address (Name or service not known)"
    )


async def test_a_name_that_can_be_none_is_told_as_such() -> None:
    summary = only_failure(await run_checks("ws://a..b:80", Options()))
    assert summary.startswith("the name 'a..b' does not resolve to an address (")


@pytest.mark.clause("O2")
async def test_a_port_that_speaks_tls_is_one_failure_and_not_thirty() -> None:
    async with emulated() as emulator:
        address = emulator.url.removeprefix("https://")
        report = await run_checks(f"ws://{address}", Options())
    assert f"{address} speaks TLS, which SageMaker does not use" in only_failure(report)
    assert f"write https://{address}" in only_failure(report)


@asynccontextmanager
async def answering(data: bytes) -> AsyncIterator[ContainerTarget]:
    """A port that answers every request with these bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(data)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield ContainerTarget("127.0.0.1", server.sockets[0].getsockname()[1])


async def test_a_port_that_speaks_no_http_is_one_failure_and_shows_what_it_says() -> None:
    async with answering(b"SSH-2.0-OpenSSH_9.2\r\n") as target:
        report = await run_checks(target.url, Options())
    assert "speaks no HTTP/1.1: GET /ping was answered with SSH-2.0-Open" in only_failure(report)


@pytest.mark.parametrize(
    ("answer", "has_tls", "told"),
    [
        (b"\x15\x03\x01\x00\x02\x02\x46", False, True),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", True, True),
        (b"", True, True),
        # A container may do that.
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False, False),
        (b"HTTP/1.0 503 Busy\r\n\r\n", True, False),
        (b"", False, False),
    ],
)
async def test_tls_is_known_by_what_becomes_of_a_request_without_it(
    answer: bytes, has_tls: bool, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def speaks_tls(target: ContainerTarget, within: float) -> bool:
        return has_tls

    monkeypatch.setattr(reach, "_speaks_tls", speaks_tls)
    async with answering(answer) as target:
        said = await reach.no_container(target, PATIENCE)
    assert (said is not None and "speaks TLS" in said) is told


async def test_a_container_that_is_silent_about_its_health_is_left_to_the_checks() -> None:
    async with EchoContainer(port=0, ping=Ping(delay=FOR_EVER)) as container:
        assert await reach.no_container(ContainerTarget.parse(container.url), 0.01) is None


@pytest.mark.parametrize(
    ("fault", "check_id", "verdict", "says"),
    [
        (RefuseUpgrade(503), "container.accept-time", Verdict.FAILED, "HTTP 503"),
        (AcceptAfter(0.3), "container.accept-time", Verdict.FAILED, "accepted after "),
        (NeverPong(), "container.pong", Verdict.FAILED, "did not come on session 1 within 5 s"),
        (DieAfter(1), "container.text-frame", Verdict.FAILED, "TCP ended without a Close frame"),
        (DieAfter(1), "container.binary-frame", Verdict.FAILED, "1006"),
        (CloseAfter(1, 1003), "container.binary-frame", Verdict.NON_STRICT, "Close 1003"),
        (CloseAfter(1, 1007), "container.invalid-utf8", Verdict.OK, "Close 1007"),
        (CloseAfter(3, 1002), "container.fragmented-text", Verdict.FAILED, "Close 1002"),
        (
            AnswerWith((ScriptedFrame(Opcode.CONT, b"of what?"),), after=1),
            "container.text-frame",
            Verdict.FAILED,
            "a frame that breaks RFC 6455: unexpected continuation frame",
        ),
        (CloseAfter(1, 1009), "container.message-1-mib", Verdict.NON_STRICT, "Close 1009"),
        (DieAfter(1), "container.message-1-mib", Verdict.FAILED, "1006"),
        (SendPings((b"a", b"b")), "container.own-pings", Verdict.INFORMATIONAL, "2 answered"),
        (
            AnswerWith((ScriptedFrame(Opcode.TEXT, b"not the same"),), after=1),
            "container.echo",
            Verdict.SKIPPED,
            "sends back what it gets",
        ),
    ],
)
async def test_a_fault_is_found_by_its_check(
    fault: Fault, check_id: str, verdict: Verdict, says: str
) -> None:
    async with MisbehavingContainer(fault) as container:
        finding = await check_one(container.url, check_id)
    assert (finding.verdict, says in finding.summary) == (verdict, True), finding.summary


@pytest.mark.clause("F5", "K1")
async def test_a_container_that_talks_all_the_time_has_its_pings_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More frames than the suite keeps: it has to read on, or its pong waits behind them."""
    monkeypatch.setattr(keepalive, "_WATCH_SECONDS", 3.0)
    first: list[bytes] = []

    async def talk(connection: FrameSocket) -> None:
        for _ in range(5_000):
            await connection.send(Opcode.TEXT, b"on and on" * 20)
        await connection.send(Opcode.PING, b"and you?")
        while (frame := await connection.receive()) is not None:
            first.append(bytes(frame.data))

    async with FrameServer(talk, port=0) as container:
        finding = await check_one(container.url, "container.own-pings")
    assert finding.verdict is Verdict.INFORMATIONAL, finding.summary
    assert finding.summary == "one ping within 3 s, answered"
    assert first[:2] == [b"and you?", b"after watching"]


@pytest.mark.parametrize(
    ("ping", "says"),
    [(Ping(503), "HTTP 503"), (Ping(200, 2.1), "after 2.1")],
)
async def test_a_ping_page_that_is_unhealthy_or_late_fails(ping: Ping, says: str) -> None:
    async with EchoContainer(port=0, ping=ping) as container:
        finding = await check_one(container.url, "container.ping-page")
    assert finding.verdict is Verdict.FAILED
    assert says in finding.summary
    assert finding.expected == "HTTP 200 within 2 s"


async def test_an_announced_metadata_stream_has_to_be_there() -> None:
    async with MisbehavingContainer(headers=ANNOUNCED) as container:
        missing = await check_one(container.url, "container.metadata-stream")
    async with MisbehavingContainer(
        headers=ANNOUNCED, paths=(DATA_PATH, METADATA_PATH)
    ) as container:
        there = await check_one(container.url, "container.metadata-stream")
        *_, first, second = container.requests
    assert missing.verdict is Verdict.FAILED
    assert "answered with HTTP 404" in missing.summary
    assert there.verdict is Verdict.OK
    name = "x-amzn-sagemaker-request-id"
    assert first.headers[name] == second.headers[name]


def metered(units: object = 1, token: object = "t", **more: object) -> ScriptedFrame:
    used = {"Dimension": "minutes", "ConsumedUnits": units, "ClientToken": token, **more}
    return ScriptedFrame(Opcode.TEXT, json.dumps({"Metering": used}).encode())


@pytest.mark.clause("M2")
@pytest.mark.parametrize(
    ("frames", "verdict", "says"),
    [
        ((metered(),), Verdict.OK, "1 metering frames within 2 s"),
        ((), Verdict.INFORMATIONAL, "no metering within 2 s"),
        ((metered(token="a"), metered(token="b")), Verdict.NON_STRICT, "1 of 2 metering frames"),
        ((metered(units=0),), Verdict.FAILED, "ConsumedUnits that are not over 0"),
        ((metered(token=""),), Verdict.FAILED, "no ClientToken of 1 to 64 characters"),
        ((metered(token="t" * 65),), Verdict.FAILED, "no ClientToken of 1 to 64 characters"),
        ((metered(Dimension="d" * 129),), Verdict.FAILED, "a Dimension of 129 characters"),
        ((metered(Note="n" * 500),), Verdict.FAILED, "bytes, more than 512"),
        ((ScriptedFrame(Opcode.TEXT, b"{}"),), Verdict.FAILED, "has no Metering"),
        ((ScriptedFrame(Opcode.TEXT, b"7 minutes"),), Verdict.FAILED, "is no JSON"),
        ((ScriptedFrame(Opcode.BINARY, b"{}"),), Verdict.FAILED, "is no whole text frame"),
    ],
)
async def test_metering_is_held_to_what_counts(
    frames: tuple[ScriptedFrame, ...], verdict: Verdict, says: str
) -> None:
    paths = (DATA_PATH, METADATA_PATH)
    async with MisbehavingContainer(
        AnswerWith(frames), headers=ANNOUNCED, paths=paths
    ) as container:
        finding = await check_one(container.url, "container.metering")
    assert (finding.verdict, says in finding.summary) == (verdict, True), finding.summary


async def test_a_container_without_a_metadata_stream_is_told_so() -> None:
    async with EchoContainer(port=0) as container:
        finding = await check_one(container.url, "container.metering")
    assert finding.verdict is Verdict.INFORMATIONAL
    assert finding.summary == "the container announces no metadata stream"


async def test_a_container_that_listens_on_another_path_is_checked_there() -> None:
    async with EchoContainer(port=0, paths=("/v1/realtime",)) as container:
        elsewhere = await check_one(container.url, "container.text-frame")
        there = await check_one(container.url, "container.text-frame", path="/v1/realtime")
    assert elsewhere.verdict is Verdict.FAILED
    assert f"the upgrade on {DATA_PATH} was answered with HTTP 404" in elsewhere.summary
    assert there.verdict is Verdict.OK


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "TCP ended without an answer"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "cannot be read: invalid HTTP status line"),
        (UPGRADED + b"X-Note : x\r\n\r\n", "cannot be read: invalid HTTP header name: X-Note"),
        (UPGRADED + b"Set-Cookie: " + b"x" * 9_000 + b"\r\n\r\n", "expected no more than 8192"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "no valid opening handshake"),
    ],
)
async def test_something_else_than_a_websocket_server_fails_in_words(
    answer: bytes, says: str
) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if request := await reader.read(1_000):
            healthy = request.startswith(b"GET /ping ")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n" if healthy else answer)
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        finding = await check_one(f"ws://127.0.0.1:{port}", "container.accept-time")
    assert finding.verdict is Verdict.FAILED
    assert says in finding.summary


async def test_an_answer_that_cannot_be_read_is_told_once_though_tcp_never_ends() -> None:
    over = asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        healthy = (await reader.read(1_000)).startswith(b"GET /ping ")
        bad = UPGRADED + b"X-Note : x\r\n\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" if healthy else bad)
        await over.wait()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        report = await check(url, "container.pong", "container.echo", "container.text-frame")
        over.set()
    first, *others = report.findings
    assert first.summary == (
        "the answer to the upgrade cannot be read: invalid HTTP header name: X-Note "
    )
    assert "session 1" in {line.who for line in first.exchange}
    assert "--path" not in first.advice, "another path would not help"
    assert {item.summary for item in others} == {
        f"no session opens on {DATA_PATH}; see the first failure"
    }


async def test_a_frame_that_breaks_the_rules_in_one_segment_with_the_101_is_told() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        keys = [line.split(": ")[1] for line in head if line.startswith("Sec-WebSocket-Key")]
        if keys:
            accepted = f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept_key(keys[0])}\r\n\r\n"
            writer.write(UPGRADED + accepted.encode() + b"\xc1\x02hi")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await reader.read(1_000)
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finding = await check_one(url, "container.text-frame")
    assert "a frame that breaks RFC 6455: reserved bits must be 0" in finding.summary


@pytest.mark.clause("O2")
async def test_a_container_of_another_path_is_one_failure_whose_advice_works() -> None:
    async with EchoContainer(port=0, paths=("/v1/realtime",)) as container:
        report = await check(container.url)
        advised = await check(container.url, path="v1/realtime")
    (failure,) = report.failures
    assert "--path PATH" in failure.advice
    assert sum(item.verdict is Verdict.SKIPPED for item in report.findings) > 20
    assert not told(advised, Verdict.FAILED)


async def test_a_container_without_ping_is_one_failure() -> None:
    async with EchoContainer(port=0, ping=Ping(404)) as container:
        report = await check(container.url)
    assert [item.check for item in report.failures] == ["container.ping-page"]


async def test_tcp_that_ends_after_invalid_utf8_or_on_another_path_breaks_no_rule() -> None:
    """RFC 6455, 7.1.7: an endpoint SHOULD send a Close frame before that."""
    async with MisbehavingContainer(DieAfter(1)) as container:
        utf8 = await check_one(container.url, "container.invalid-utf8")

    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_000)
        writer.close()

    async with await asyncio.start_server(end, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        path = await check_one(url, "container.other-path")
    assert (utf8.verdict, path.verdict) == (Verdict.NON_STRICT, Verdict.NON_STRICT)


async def test_a_broken_frame_in_answer_to_invalid_utf8_still_fails() -> None:
    nonsense = AnswerWith((ScriptedFrame(Opcode.CONT, b"of what?"),), after=1)
    async with MisbehavingContainer(nonsense) as container:
        finding = await check_one(container.url, "container.invalid-utf8")
    assert finding.verdict is Verdict.FAILED


async def test_a_container_that_does_not_survive_a_check_is_named_and_the_rest_is_skipped() -> None:
    """Stop listening as soon as the first session has been opened."""
    server: asyncio.Server

    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"Upgrade" in await reader.read(1_000):
            server.close()
        writer.close()

    server = await asyncio.start_server(die, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    report = await check(url, "container.accept-time", "container.query-string")
    first, second = report.findings
    assert "after this check the target accepts no connections any more" in first.summary
    assert second.verdict is Verdict.SKIPPED
    assert "since the check container.accept-time" in second.summary


@pytest.mark.parametrize(
    ("checks", "options", "says"),
    [
        ("bridge", {}, "--fake-backend"),
        ("realtime", {}, "--model-protocol vllm-realtime"),
        ("container.sigterm", {}, "--pid"),
        ("bridge.commands", {}, "--backend-down-cmd"),
    ],
)
async def test_a_check_that_needs_more_is_skipped_and_says_what(
    checks: str, options: dict[str, Any], says: str
) -> None:
    async with EchoContainer(port=0) as container:
        report = await check(container.url, checks, **options)
    assert {item.verdict for item in report.findings} == {Verdict.SKIPPED}
    assert any(says in item.summary for item in report.findings)
    assert report.exit_status == 1, "a run that makes no check shows nothing"
