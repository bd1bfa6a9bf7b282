"""An engine that hangs is noticed by the deltas that do not come, and by nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from sagemaker_bidi_bridge import BridgeServer
from sagemaker_bidi_bridge.liveness import EngineLife, SessionLife
from sagemaker_bidi_bridge.sessions import Sessions
from tests.bridge.peers import LIMIT_SECONDS, sagemaker, settings_for, vllm

COMMIT = json.dumps({"type": "input_audio_buffer.commit"})
FINAL = json.dumps({"type": "input_audio_buffer.commit", "final": True})
DELTA = json.dumps({"type": "transcription.delta", "delta": ""})
DONE = json.dumps({"type": "transcription.done", "text": "", "usage": {}})
SECOND_OF_AUDIO = json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 42_668})


@pytest.fixture
def engine() -> EngineLife:
    return EngineLife(limit=30.0)


def speak(life: SessionLife, seconds: int, start: float = 0.0) -> None:
    for second in range(seconds):
        life.sent(SECOND_OF_AUDIO, start + second)


def waiting(engine: EngineLife) -> SessionLife:
    """A session whose first 30 s of audio, passed on from 0 s to 29 s, nothing has answered."""
    life = engine.session()
    life.sent(COMMIT, 0.0)
    speak(life, 30)
    return life


class TestAnEngine:
    def test_that_leaves_as_much_audio_unanswered_as_the_limit_is_long_hangs(
        self, engine: EngineLife
    ) -> None:
        waiting(engine)
        assert engine.silent_for(29.9) is None
        assert engine.silent_for(30.0) == 30.0

    def test_that_leaves_a_final_commit_without_done_hangs(self, engine: EngineLife) -> None:
        life = engine.session()
        life.sent(COMMIT, 0.0)
        life.sent(FINAL, 1.0)
        assert engine.silent_for(31.0) == 30.0

    def test_that_works_for_another_session_does_not_hang(self, engine: EngineLife) -> None:
        served = engine.session()
        waiting(engine)
        served.heard(DELTA, 100.0)
        assert engine.silent_for(120.0) is None
        assert engine.silent_for(130.0) == 30.0

    def test_that_answers_again_is_well(self, engine: EngineLife) -> None:
        life = waiting(engine)
        life.heard(DELTA, 60.0)
        assert engine.silent_for(1_000.0) is None

    def test_that_was_found_to_hang_still_does_for_a_minute_after_the_session_has_left(
        self, engine: EngineLife
    ) -> None:
        life = waiting(engine)
        life.ended(40.0)
        assert engine.silent_for(99.9) is not None
        assert engine.silent_for(100.0) is None

    def test_that_has_been_replaced_is_not_blamed_for_a_session_that_has_left(
        self, engine: EngineLife
    ) -> None:
        life = waiting(engine)
        life.ended(40.0)
        engine.replaced()
        assert engine.silent_for(50.0) is None

    def test_that_has_been_replaced_is_blamed_for_a_session_that_still_waits(
        self, engine: EngineLife
    ) -> None:
        waiting(engine)
        engine.replaced()
        assert engine.silent_for(50.0) == 50.0

    def test_that_has_dropped_a_waiting_session_is_not_blamed_for_it(
        self, engine: EngineLife
    ) -> None:
        life = waiting(engine)
        life.dropped()
        life.ended(40.0)
        assert engine.silent_for(50.0) is None

    def test_is_not_blamed_when_a_session_leaves_before_the_limit(self, engine: EngineLife) -> None:
        life = waiting(engine)
        life.ended(20.0)
        assert engine.silent_for(1_000.0) is None

    def test_is_never_blamed_where_the_limit_is_off(self) -> None:
        engine = EngineLife(limit=None)
        waiting(engine)
        assert engine.silent_for(10_000.0) is None

    def test_is_not_well_because_a_transcript_says_error(self, engine: EngineLife) -> None:
        life = engine.session()
        life.sent(COMMIT, 0.0)
        life.heard(json.dumps({"type": "transcription.delta", "delta": "error"}), 1.0)
        life.sent(FINAL, 2.0)
        assert engine.silent_for(32.0) == 30.0

    def test_is_blamed_again_once_a_client_that_did_not_read_reads(
        self, engine: EngineLife
    ) -> None:
        life = engine.session()
        life.sent(COMMIT, 0.0)
        life.heard(DELTA, 1.0)
        life.hold()
        life.release()
        speak(life, 30, 10.0)
        assert engine.silent_for(40.0) == 30.0


class TestSilenceThatIsInOrder:
    def test_before_generation_was_started(self, engine: EngineLife) -> None:
        speak(engine.session(), 60)
        assert engine.silent_for(1_000.0) is None

    def test_of_a_model_that_answers_by_segments_while_its_client_is_mute(
        self, engine: EngineLife
    ) -> None:
        life = engine.session()
        life.sent(COMMIT, 0.0)
        for start in (0.0, 1_000.0, 2_000.0):
            speak(life, 1, start)
        assert engine.silent_for(10_000.0) is None

    def test_of_a_client_that_says_nothing(self, engine: EngineLife) -> None:
        life = waiting(engine)
        life.heard(DELTA, 5.0)
        assert engine.silent_for(1_000.0) is None

    def test_after_the_utterance_is_done(self, engine: EngineLife) -> None:
        life = engine.session()
        life.sent(COMMIT, 0.0)
        life.heard(DONE, 1.0)
        speak(life, 60, 2.0)
        assert engine.silent_for(1_000.0) is None

    def test_after_a_final_commit_that_started_nothing(self, engine: EngineLife) -> None:
        engine.session().sent(FINAL, 0.0)
        assert engine.silent_for(1_000.0) is None

    def test_before_a_client_that_does_not_read(self, engine: EngineLife) -> None:
        life = engine.session()
        life.sent(COMMIT, 0.0)
        life.hold()
        speak(life, 60)
        life.sent(FINAL, 60.0)
        assert engine.silent_for(1_000.0) is None

    @pytest.mark.parametrize(
        "message",
        [
            SECOND_OF_AUDIO[:-1] + " " * 2_000_000 + "}",
            json.dumps({"type": "input_audio_buffer.append", "audio": " " * 500_000}),
            json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 500_001}),
            json.dumps({"type": "session.update", "note": "A" * 500_000}),
            json.dumps({"type": "input_audio_buffer.append", "audio": ["A" * 500_000]}),
            '{"type": "input_audio_buffer.append", "audio": ' + "[" * 100_000,
            '{"type": "input_audio_buffer.commit", "final": ' + "[" * 100_000,
            "9" * 10_000,
            "[]",
        ],
        ids=[
            "padded",
            "blank",
            "not-base64",
            "no-audio",
            "list",
            "deep",
            "deep-2",
            "long",
            "array",
        ],
    )
    def test_to_what_is_no_audio_however_long_or_deep(
        self, message: str, engine: EngineLife
    ) -> None:
        life = engine.session()
        life.sent(COMMIT, 0.0)
        for _ in range(10):
            life.sent(message, 1.0)
        assert engine.silent_for(1_000.0) is None


@dataclass
class Hung:
    """A vLLM whose engine hangs behind a bridge; `health` is what its own page answers."""

    http: httpx.AsyncClient
    bridge_url: str = ""
    sessions: Sessions = field(default_factory=Sessions)
    health: int = 200
    connections: list[ServerConnection] = field(default_factory=list)

    async def wait_for_ping(self, status: int) -> str:
        """Ask the bridge until it answers so; gives the answer."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while (answer := await self.http.get(f"{self.bridge_url}/ping")).status_code != status:
                pass
        return answer.text


@pytest.fixture
async def hung() -> AsyncIterator[Hung]:
    async def hang(connection: ServerConnection) -> None:
        found.connections.append(connection)
        async for _ in connection:
            pass

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        return connection.respond(found.health, "") if request.path == "/health" else None

    async with (
        httpx.AsyncClient(trust_env=False) as http,
        vllm(hang, process_request=answer) as url,
    ):
        found = Hung(http)
        async with BridgeServer(settings_for(url, hang_seconds=0.05)) as bridge:
            found.bridge_url = bridge.url.replace("ws:", "http:")
            found.sessions = bridge.sessions
            yield found


@asynccontextmanager
async def waiting_session(hung: Hung) -> AsyncIterator[None]:
    """A session to which the engine owes an answer for too long."""
    async with sagemaker(hung.bridge_url.replace("http:", "ws:")) as session:
        await session.send(COMMIT)
        await session.send(FINAL)
        await hung.wait_for_ping(503)
        yield


async def test_ping_says_503_while_the_engine_hangs_and_vllms_own_page_says_200(
    hung: Hung,
) -> None:
    await hung.wait_for_ping(200)
    async with waiting_session(hung):
        assert "vLLM's engine hangs" in await hung.wait_for_ping(503)
    answer = await hung.http.get(f"{hung.bridge_url}/ping")
    assert (answer.status_code, "vLLM's engine hangs" in answer.text) == (503, True)


async def test_ping_says_200_again_when_a_hung_vllm_has_been_replaced_after_its_sessions(
    hung: Hung,
) -> None:
    async with waiting_session(hung):
        pass
    await hung.sessions.wait_idle()
    hung.health = 500
    assert "answered HTTP 500" in (await hung.http.get(f"{hung.bridge_url}/ping")).text
    hung.health = 200
    await hung.wait_for_ping(200)


async def test_ping_says_200_again_when_a_hung_vllm_has_been_replaced_under_its_sessions(
    hung: Hung,
) -> None:
    async with waiting_session(hung):
        (connection,) = hung.connections
        connection.transport.abort()
        await hung.wait_for_ping(200)
