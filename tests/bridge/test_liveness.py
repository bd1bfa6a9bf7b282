"""An engine that hangs is noticed by the deltas that do not come, and by nothing else."""

import json

import httpx
import pytest
from websockets.asyncio.server import ServerConnection

from bridge import BridgeServer
from bridge.liveness import EngineLife, SessionLife
from tests.bridge.peers import sagemaker, settings_for, vllm

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


class TestAnEngine:
    def test_that_leaves_audio_without_a_delta_for_the_limit_hangs(
        self, engine: EngineLife
    ) -> None:
        life = engine.session()
        life.sent(COMMIT, 0.0)
        speak(life, 4)
        assert engine.silent_for(31.9) is None
        assert engine.silent_for(32.0) == 30.0

    def test_that_leaves_a_final_commit_without_done_hangs(self, engine: EngineLife) -> None:
        life = engine.session()
        life.sent(COMMIT, 0.0)
        life.sent(FINAL, 1.0)
        assert engine.silent_for(31.0) == 30.0

    def test_that_works_for_another_session_does_not_hang(self, engine: EngineLife) -> None:
        starved, served = engine.session(), engine.session()
        starved.sent(COMMIT, 0.0)
        speak(starved, 4)
        served.heard(DELTA, 100.0)
        assert engine.silent_for(120.0) is None
        assert engine.silent_for(130.0) == 30.0

    def test_that_answers_again_is_well(self, engine: EngineLife) -> None:
        life = engine.session()
        life.sent(COMMIT, 0.0)
        speak(life, 4)
        life.heard(DELTA, 60.0)
        assert engine.silent_for(1_000.0) is None

    def test_that_was_found_to_hang_still_does_when_the_session_has_left(
        self, engine: EngineLife
    ) -> None:
        life = engine.session()
        life.sent(COMMIT, 0.0)
        speak(life, 4)
        life.ended(40.0)
        assert engine.silent_for(50.0) == 48.0

    def test_is_not_blamed_when_a_session_leaves_before_the_limit(self, engine: EngineLife) -> None:
        life = engine.session()
        life.sent(COMMIT, 0.0)
        speak(life, 4)
        life.ended(20.0)
        assert engine.silent_for(1_000.0) is None

    def test_is_never_blamed_where_the_limit_is_off(self) -> None:
        engine = EngineLife(limit=None)
        life = engine.session()
        life.sent(COMMIT, 0.0)
        speak(life, 4)
        assert engine.silent_for(10_000.0) is None


class TestSilenceThatIsInOrder:
    def test_before_generation_was_started(self, engine: EngineLife) -> None:
        speak(engine.session(), 60)
        assert engine.silent_for(1_000.0) is None

    def test_before_enough_audio_for_a_first_delta(self, engine: EngineLife) -> None:
        life = engine.session()
        life.sent(COMMIT, 0.0)
        speak(life, 2)
        assert engine.silent_for(1_000.0) is None

    def test_of_a_client_that_says_nothing(self, engine: EngineLife) -> None:
        life = engine.session()
        life.sent(COMMIT, 0.0)
        speak(life, 4)
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


async def test_ping_says_503_while_the_engine_hangs_and_vllms_own_page_says_200() -> None:
    async def hang(connection: ServerConnection) -> None:
        async for _ in connection:
            pass

    async with (
        vllm(hang, process_request=_healthy) as url,
        BridgeServer(settings_for(url, hang_seconds=0.05)) as bridge,
        httpx.AsyncClient(base_url=bridge.url.replace("ws:", "http:"), trust_env=False) as http,
    ):
        assert (await http.get("/ping")).status_code == 200
        async with sagemaker(bridge.url) as session:
            await session.send(COMMIT)
            await session.send(FINAL)
            while (answer := await http.get("/ping")).status_code == 200:
                pass
        assert answer.status_code == 503
        assert "vLLM's engine hangs" in answer.text
        assert (await http.get("/ping")).status_code == 503


def _healthy(connection: ServerConnection, request: object) -> object:
    path = getattr(request, "path", "")
    return connection.respond(200, "") if path == "/health" else None
