"""An emulator in front of another one: parts, errors, refusals and endings pass as they are."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.clock import RealClock
from sagemaker_bidi.contract.errors import Refused, StreamError
from sagemaker_bidi.contract.frames import Frame, Opcode
from sagemaker_bidi.endpoints.addresses import container_url
from sagemaker_bidi.recordings.files import read_recording
from sagemaker_bidi.recordings.format import Control, Header
from sagemaker_bidi.recordings.recorder import Recorder
from sagemaker_bidi.replay.play import play
from sagemaker_bidi.replay.side import Pace
from sagemaker_bidi.replay.targets import Target
from sagemaker_bidi.tap import Passage, Tap, TappedSession
from sagemaker_bidi.transport.container import Closed
from sagemaker_bidi.transport.link import Link
from sagemaker_bidi.transport.upstream import open_upstream
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from sagemaker_bidi_fixtures.containers.misbehaving import (
    CloseAfter,
    DieAfter,
    MisbehavingContainer,
    RefuseUpgrade,
)
from sagemaker_bidi_fixtures.containers.server import FrameServer
from tests.recordings.conftest import Trust
from tests.recordings.made import closed, ended, part, recording
from tests.recordings.make_sessions import SESSIONS, bridged
from tests.transport.lean_client import LeanClient, LeanStream
from tests.transport.world import Watch, names_of_other_tasks

LIMIT = 15.0


class TellError(Tap):
    """Ends each session with an error of the tester's."""

    def __init__(self, error: StreamError) -> None:
        self.error = error

    def passed(self, session_id: str, passage: Passage) -> None:
        if passage.side == "client" and passage.direction == "sent":
            asyncio.get_running_loop().call_soon(self._end)

    def opened(self, session: TappedSession) -> None:
        self._session: TappedSession | None = session

    def _end(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            session.end(self.error, "a test ends it")


def config() -> Config:
    return Config(port=0, health="off", contract={"accept_seconds": 10.0})


class Chain:
    """A lean client, an emulator, a second one, and a container."""

    def __init__(self, inner: Emulator, outer: Emulator, client: LeanClient, watch: Watch) -> None:
        self.inner, self.outer, self.client, self.watch = inner, outer, client, watch

    async def talk(self, *texts: str) -> LeanStream:
        """Open a stream and have each text echoed."""
        stream = await (await self.client.open("front")).opened()
        for text in texts:
            await stream.send(text.encode(), "UTF8", "COMPLETE")
            back = await stream.receive()
            assert back is not None
            assert back.message.payload == text.encode()
        return stream


@contextlib.asynccontextmanager
async def chain(
    container: FrameServer,
    trust: Trust,
    *,
    behind: tuple[Tap, ...] = (),
) -> AsyncIterator[Chain]:
    watch = Watch()
    async with container, Emulator({"back": container.url}, config=config(), taps=behind) as inner:
        trust(inner)
        async with (
            Emulator(
                {"front": f"{inner.url}/back", "lost": f"{inner.url}/no-such"},
                config=config(),
                taps=[watch],
            ) as outer,
            LeanClient(outer.url, outer.ca) as client,
        ):
            yield Chain(inner, outer, client, watch)
    # What was cancelled ends in the loop's next rounds.
    for _ in range(10):
        await asyncio.sleep(0)
    assert names_of_other_tasks() == []


async def test_parts_pass_byte_for_byte_with_type_and_completion(trust: Trust) -> None:
    parts = [
        (b"caf\xc3\xa9", "UTF8", "COMPLETE"),
        (b"\xff\x00", "BINARY", "COMPLETE"),
        (b"", "UTF8", "COMPLETE"),
        (b"one", "UTF8", "PARTIAL"),
        (b"two", "UTF8", "COMPLETE"),
    ]
    echo = EchoContainer(port=0)
    async with chain(echo, trust) as there:
        stream = await (await there.client.open("front")).opened()
        for part in parts:
            await stream.send(*part)
            event = await stream.receive()
            assert event is not None
            headers = event.message.headers
            got = (event.message.payload, headers["DataType"], headers["CompletionState"])
            assert got == part
        await stream.close_input()
        assert await stream.receive() is None
        seen = [(bytes(f.payload), f.fin) for f in echo.frames if f.opcode < 8]
        await there.watch.session_ended()
        record = there.outer.sessions[0]

    assert seen == [(payload, state == "COMPLETE") for payload, _, state in parts]
    assert record.account.balanced


@pytest.mark.clause("E1")
async def test_a_model_stream_error_passes_with_its_code_and_message(trust: Trust) -> None:
    container = MisbehavingContainer(CloseAfter(1, 1011, "engine died"), port=0)
    async with chain(container, trust) as there:
        stream = await there.talk("one")
        event = await stream.receive()
        assert await stream.receive() is None
        ending = await there.watch.session_ended()

    assert event is not None
    assert event.message.headers[":exception-type"] == "ModelStreamError"
    assert ending.error == StreamError("ModelStreamError", "1011", "engine died")
    assert ending.by == "container"


@pytest.mark.parametrize(
    "error",
    [
        StreamError("InternalStreamFailure", "", "the platform's trouble"),
        StreamError("error", "SomethingElse", "nobody modelled it"),
        StreamError("ModelStreamError", "ModelInvocationTimeExceeded", "too long"),
    ],
)
async def test_every_kind_of_error_passes_as_it_is(trust: Trust, error: StreamError) -> None:
    async with chain(EchoContainer(port=0), trust, behind=(TellError(error),)) as there:
        await there.talk("one")
        ending = await there.watch.session_ended()

    assert ending.error == error


async def test_a_clean_end_and_a_lost_connection_stay_what_they_are(trust: Trust) -> None:
    async with chain(MisbehavingContainer(CloseAfter(1), port=0), trust) as there:
        stream = await there.talk("one")
        assert await stream.receive() is None
        ending = await there.watch.session_ended()
    assert (ending.by, ending.error) == ("container", None)

    async with chain(MisbehavingContainer(DieAfter(1), port=0), trust) as there:
        await there.talk("one")
        ending = await there.watch.session_ended()
    assert ending.error is not None
    assert ending.error.code == "StreamBroken"


@pytest.mark.clause("O4")
async def test_a_refusal_passes_as_it_is(trust: Trust) -> None:
    async with chain(MisbehavingContainer(RefuseUpgrade(503), port=0), trust) as there:
        refused = await there.client.open("front")
        await refused.finished()
        unknown = await there.client.open("lost")
        await unknown.finished()

    assert (refused.status, refused.headers["x-amzn-errortype"]) == (424, "ModelError")
    assert b'"OriginalStatusCode": 424' in refused.body
    assert b"INTERNAL_FAILURE_FROM_MODEL" in refused.body
    assert (unknown.status, unknown.headers["x-amzn-errortype"]) == (400, "ValidationError")


async def test_an_endpoint_that_is_not_there_is_a_503_and_its_reason_stays_in_the_log(
    trust: Trust, echo: EchoContainer, caplog: pytest.LogCaptureFixture
) -> None:
    async with Emulator({"back": echo.url}, config=config()) as gone:
        trust(gone)
        address = f"{gone.url}/back"
    async with (
        Emulator({"front": address}, config=config()) as outer,
        LeanClient(outer.url, outer.ca) as client,
    ):
        stream = await client.open("front")
        await stream.finished()

    assert stream.status == 503
    assert address.encode() not in stream.body
    assert "nothing listens at" in caplog.text


async def test_the_container_s_path_and_query_reach_it_through_both(trust: Trust) -> None:
    echo = EchoContainer(port=0, paths=("/v1/talk",))
    async with chain(echo, trust) as there:
        headers = {
            "x-amzn-sagemaker-model-invocation-path": "v1/talk",
            "x-amzn-sagemaker-model-query-string": "lang=fr",
        }
        stream = await (await there.client.open("front", headers)).opened()
        await stream.close_input()
        await there.watch.session_ended()

    assert [request.path for request in echo.requests] == ["/v1/talk?lang=fr"]


async def test_a_half_close_reaches_the_container(trust: Trust) -> None:
    watch = Watch()
    async with chain(EchoContainer(port=0), trust, behind=(watch,)) as there:
        stream = await there.talk("one")
        await stream.close_input()
        await stream.finished()
        outer = await there.watch.session_ended()
        inner = await watch.session_ended()

    assert (outer.by, outer.clause) == ("client", "E3")
    assert (inner.by, inner.clause) == ("client", "E3")


async def test_a_client_that_is_gone_leaves_no_session_behind(trust: Trust) -> None:
    watch = Watch()
    async with chain(EchoContainer(port=0), trust, behind=(watch,)) as there:
        stream = await there.talk("one")
        stream.cancel()
        await there.watch.session_ended()
        inner = await watch.session_ended()

    assert inner.by == "client"


async def test_an_endpoint_takes_many_parts_at_once_and_loses_none(trust: Trust) -> None:
    async with chain(EchoContainer(port=0), trust) as there:
        stream = await (await there.client.open("front")).opened()
        count = 200
        sending = asyncio.create_task(_send_all(stream, count))
        got = []
        for _ in range(count):
            event = await stream.receive()
            assert event is not None
            got.append(int(event.message.payload[:4]))
        await sending
        await stream.close_input()
        await there.watch.session_ended()

    assert got == list(range(count))


async def _send_all(stream: LeanStream, count: int) -> None:
    for number in range(count):
        await stream.send(b"%04d" % number + bytes(2000), "BINARY", "COMPLETE")


async def test_a_ping_is_answered_on_this_side(trust: Trust, emulator: Emulator) -> None:
    trust(emulator)
    link: Link = await Target.parse(f"{emulator.url}/echo").open("", RealClock())
    link.send(Frame(Opcode.PING, b"there?"))

    assert await link.receive() == [Frame(Opcode.PONG, b"there?")]
    link.close(1000, "", discard=True)
    await link.wait_closed(RealClock())
    assert isinstance(await link.receive(), Closed)


async def test_a_recording_made_through_a_second_emulator_fits_our_container(
    trust: Trust, tmp_path: Path
) -> None:
    recorder = Recorder(tmp_path, header=Header(provenance="stand-in"))
    made = read_recording(SESSIONS / "errors.jsonl")
    pace = Pace(speed=0, patience=10)
    async with bridged() as address, Emulator({"back": address}, config=config()) as inner:
        trust(inner)
        watch = Watch()
        async with Emulator(
            {"front": f"{inner.url}/back"}, config=config(), taps=[recorder, watch]
        ) as outer:
            first = await play(made, Target.parse(f"{outer.url}/front"), pace=pace)
            await watch.session_ended()
        assert first.alike
        (path,) = recorder.written
        recorded = read_recording(path)
        again = await play(recorded, Target.parse(address), pace=pace)

    assert recorded.header.target == f"{inner.url}/back"
    assert again.alike
    assert (again.sent, len(again.received)) == (7, 8)
    # There was no WebSocket of this emulator's.
    assert not any(isinstance(event, Control) for event in recorded.events)


@pytest.mark.parametrize(
    ("behaviour", "code", "problem"),
    [
        (CloseAfter(1, 1011, "died"), 1011, ""),
        (DieAfter(1), 1006, ""),
        (
            CloseAfter(1, 1008, "no"),
            1011,
            "the session ended with Close 1011, now with ModelStreamError 1008",
        ),
        (
            CloseAfter(1),
            1011,
            "the session ended with Close 1011, now with Close 1000 (no reason)",
        ),
    ],
)
async def test_a_close_recorded_of_a_container_is_alike_where_an_endpoint_makes_its_error_of_it(
    trust: Trust, behaviour: CloseAfter | DieAfter, code: int, problem: str
) -> None:
    made = recording(
        part("client", "one"), part("container", "one"), closed(code), ended("container")
    )
    async with (
        MisbehavingContainer(behaviour, port=0) as container,
        Emulator({"back": container.url}, config=config()) as emulator,
    ):
        trust(emulator)
        target = Target.parse(f"{emulator.url}/back")
        outcome = await play(made, target, pace=Pace(speed=0, patience=10))

    assert outcome.problem == problem


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://model:8443/voxtral", "https://model:8443/voxtral"),
        ("https://model/voxtral/", "https://model:8443/voxtral"),
        ("https://[::1]:9/v", "https://[::1]:9/v"),
        (
            "https://runtime.sagemaker.eu-west-1.amazonaws.com/voxtral",
            "https://runtime.sagemaker.eu-west-1.amazonaws.com:8443/voxtral",
        ),
    ],
)
def test_an_endpoint_can_stand_where_a_container_s_address_does(given: str, expected: str) -> None:
    assert container_url(given) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("https://model:8443", "write https://HOST:8443/ENDPOINT-NAME"),
        ("https:///voxtral", "write https://HOST:8443/ENDPOINT-NAME"),
        ("https://model:0/voxtral", "write https://HOST:8443/ENDPOINT-NAME"),
        ("https://model/a_b", "cannot be an endpoint's name"),
        ("https://model/a/b", "cannot be an endpoint's name"),
    ],
)
def test_a_wrong_endpoint_address_is_refused_with_what_is_wrong(given: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^container address ") as caught:
        container_url(given)

    assert said in str(caught.value)


async def test_a_target_that_cannot_sign_is_refused_with_what_to_do(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, trust: Trust, tmp_path: Path
) -> None:
    trust(emulator)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(Refused) as caught:
        await open_upstream(
            f"{emulator.url}/echo", "/invocations-bidirectional-stream", RealClock()
        )

    assert caught.value.refusal.status == 503
    assert "AWS_ACCESS_KEY_ID" in caught.value.refusal.reason
