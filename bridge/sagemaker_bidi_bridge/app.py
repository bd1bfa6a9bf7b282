"""The bridge's routes: SageMaker's data path, and the health page (O2, K4)."""

import asyncio
import logging
import re
import time
import uuid

from fastapi import FastAPI, WebSocket
from fastapi.responses import JSONResponse

from sagemaker_bidi_bridge.backend import BackendUnavailable, Door, open_backend, why_unhealthy
from sagemaker_bidi_bridge.logs import SESSION_ID
from sagemaker_bidi_bridge.observe import Observe, SessionEnd, SessionLog, key_values
from sagemaker_bidi_bridge.relay import Relay
from sagemaker_bidi_bridge.sessions import Refused, Session, Sessions, register_of
from sagemaker_bidi_bridge.settings import Settings
from sagemaker_bidi_bridge.version import VERSION
from sagemaker_bidi_bridge.wire import ABORT

DATA_PATH = "/invocations-bidirectional-stream"
REQUEST_ID_HEADER = "x-amzn-sagemaker-request-id"

_PATHS = f"a WebSocket on {DATA_PATH}, and GET /ping, /health and /version"
_ID_CHARACTERS = 128
_TRACE_HEADERS = ("traceparent", "tracestate")  # W3C Trace Context, 3
_HEADER_VALUE = re.compile(r"[ -~]+")

logger = logging.getLogger("bridge.session")


def create_app(
    settings: Settings, observe: Observe = SessionLog, sessions: Sessions | None = None
) -> FastAPI:
    """Build the ASGI application of the bridge.

    Args:
        settings: where vLLM is, and every limit.
        observe: makes an observer for each session from its id; the default logs.
        sessions: the register of open sessions, which a server drains when it stops.
    """
    register = register_of(settings) if sessions is None else sessions
    app = FastAPI(title="SageMaker to vLLM bridge", openapi_url=None)

    health_log = _HealthLog()
    door = Door(settings)

    @app.get("/ping")
    @app.get("/health")
    async def health() -> JSONResponse:
        if register.draining:
            return health_log.unhealthy("draining", "the bridge has been told to stop")
        if (reason := await why_unhealthy(settings)) is not None:
            register.engine.replaced()
            door.forget()
            return health_log.unhealthy("unhealthy", reason)
        if (reason := await door.why_shut()) is not None:
            return health_log.unhealthy("unhealthy", reason)
        if register.engine.silent_for(asyncio.get_running_loop().time()) is not None:
            return health_log.unhealthy(
                "unhealthy",
                f"vLLM's engine hangs: it has answered no session for {settings.hang_seconds:g} s "
                f"and more, and audio waits (vLLM's own health page says that all is well)",
            )
        return health_log.healthy()

    async def invocation(websocket: WebSocket) -> None:
        await _invocation(websocket, settings, observe, register, door)

    for path in (DATA_PATH, *settings.passed_on):
        app.add_api_websocket_route(path, invocation)

    @app.get("/version")
    async def version() -> JSONResponse:
        return JSONResponse({"name": "sagemaker-bidi-bridge", "version": VERSION})

    @app.websocket("/{path:path}")
    async def unknown_path(websocket: WebSocket) -> None:
        await _refuse(websocket, _session_id(websocket), 404, f"no such path: there is {_PATHS}")

    return app


async def _invocation(
    websocket: WebSocket, settings: Settings, observe: Observe, sessions: Sessions, door: Door
) -> None:
    session_id = _session_id(websocket)
    SESSION_ID.set(session_id)
    # Another server than ours gives none.
    abort = websocket.scope["state"].get(ABORT, lambda: None)
    try:
        with sessions.admit(session_id, abort) as session:
            try:
                await _session(websocket, session, settings, observe, door)
            except BackendUnavailable as refusal:
                if refusal.refused:
                    door.forget()
                raise
    except (Refused, BackendUnavailable) as refusal:
        # SageMaker turns any refusal into a 424 and forwards nothing of it (O4): the log is
        # the only place where the reason is seen.
        await _refuse(websocket, session_id, 503, str(refusal))


async def _session(
    websocket: WebSocket, session: Session, settings: Settings, observe: Observe, door: Door
) -> None:
    started = time.perf_counter()
    # vLLM first: once SageMaker's socket is accepted the client has its 200, and a 424 is no
    # longer possible.
    path, peer = websocket.url.path, _peer(websocket)
    backend = await open_backend(settings, _passed_on(websocket, session.session_id), path)
    door.opened()
    about = {"id": session.session_id, "path": path, "peer": peer}
    try:
        try:
            await websocket.accept()
        except OSError:
            logger.warning(
                "session abandoned %s",
                key_values(**about, reason="SageMaker left before the upgrade was accepted"),
            )
            return
        open_ms = (time.perf_counter() - started) * 1_000
        logger.info("session started %s", key_values(**about, open_ms=f"{open_ms:.1f}"))
        observer = observe(session.session_id)
        end = await Relay(websocket, backend, session, observer, settings).run()
        observer.ended(
            SessionEnd(
                ended_by=end.ended_by,
                failed=end.failed,
                sagemaker=end.sagemaker,
                vllm=end.vllm,
                path=path,
                peer=peer,
                duration_seconds=time.perf_counter() - started,
            )
        )
    finally:
        backend.transport.abort()


async def _refuse(websocket: WebSocket, session_id: str, status: int, reason: str) -> None:
    path, peer = websocket.url.path, _peer(websocket)
    logger.warning(
        "session refused %s",
        key_values(id=session_id, path=path, peer=peer, status=status, reason=reason),
    )
    try:
        await websocket.send_denial_response(
            JSONResponse({"status": "refused", "reason": reason}, status)
        )
    except OSError:
        logger.info("session refused, and SageMaker had left %s", key_values(id=session_id))


class _HealthLog:
    """Answers health checks, and logs what has changed: SageMaker asks every few seconds."""

    def __init__(self) -> None:
        self._latest = ""

    def healthy(self) -> JSONResponse:
        if self._latest:
            logger.info("health check passed again")
        self._latest = ""
        return JSONResponse({"status": "healthy"})

    def unhealthy(self, status: str, reason: str) -> JSONResponse:
        if reason != self._latest:
            logger.warning("health check failed %s", key_values(status=status, reason=reason))
        self._latest = reason
        return JSONResponse({"status": status, "reason": reason}, 503)


def _passed_on(websocket: WebSocket, session_id: str) -> dict[str, str]:
    """What vLLM's own log and traces know a session by."""
    headers = {"X-Request-Id": session_id}
    for name in _TRACE_HEADERS:
        if value := websocket.headers.get(name):
            headers[name] = value
    # What websockets would not put on the wire is left out, and the session goes on.
    return {name: value for name, value in headers.items() if _HEADER_VALUE.fullmatch(value)}


def _session_id(websocket: WebSocket) -> str:
    given = websocket.headers.get(REQUEST_ID_HEADER, "")[:_ID_CHARACTERS]
    return given or f"bridge-{uuid.uuid4()}"


def _peer(websocket: WebSocket) -> str:
    client = websocket.client
    return "unknown" if client is None else f"{client.host}:{client.port}"
