"""The local HTTP API of a running emulator: fault plans come and go, sessions are listed.

    GET    /plans            the plans in force
    POST   /plans            put one into force: TOML, or JSON of the same shape
    DELETE /plans/{name}     take one out of force; not a byte is lost
    GET    /sessions         the sessions so far
    DELETE /sessions/{id}    end one that runs

It listens on 127.0.0.1 alone and wants the token that it wrote to a file of its owner's. Web pages
cannot use it: whatever has an Origin is refused, and so is a foreign host name.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from pathlib import Path
from typing import Any, Self, cast

import hypercorn.asyncio
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sagemaker_bidi.emulator import Emulator, PortTaken
from sagemaker_bidi.faults.plan import PlanError, plan_table, read_plan
from sagemaker_bidi.inspector.token import Guard, token_file, write_token
from sagemaker_bidi.session.record import SessionRecord
from sagemaker_bidi.shown import logger_named

logger = logger_named("bidi.control")
# Hypercorn says there that it runs, in its own words.
logger.setLevel(logging.WARNING)

DEFAULT_CONTROL_PORT = 8444
LARGEST_PLAN = 128 * 1024
TOML, JSON = "application/toml", "application/json"
# tomllib takes the square of a long key's length: in a process that may use two seconds.
_READ_TOML = """
import json, resource, sys, tomllib
resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
try:
    table = tomllib.loads(sys.stdin.buffer.read().decode())
    print(json.dumps(table))
except (ValueError, RecursionError, TypeError) as error:
    sys.exit(str(error))
"""


class Control:
    """Serves the API beside an emulator, in its event loop: `async with Control(emulator):`.

    Args:
        emulator: whose plans and sessions they are.
        port: TCP port on 127.0.0.1; a free one unless given.

    Raises:
        PortTaken: the port is in use.
    """

    def __init__(self, emulator: Emulator, port: int = 0) -> None:
        self._port = port
        self._emulator = emulator
        self._stopping = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens, `http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def token_file(self) -> Path:
        """The file of the token that requests have to bring; its owner alone can read it."""
        return token_file(self._port, self._emulator.ca.parent)

    async def __aenter__(self) -> Self:
        listener = _listen(self._port)
        self._port = listener.getsockname()[1]
        try:
            token = write_token(self.token_file)
        except OSError:
            listener.close()
            raise
        guarded = Guard(application(self._emulator), token, self.token_file)
        config = Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.graceful_timeout = 1
        config.errorlog = logger
        self._serving = asyncio.create_task(
            hypercorn.asyncio.serve(
                cast(Any, guarded), config, shutdown_trigger=self._stopping.wait
            ),
            name="control",
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._serving is not None
        self._stopping.set()
        self.token_file.unlink(missing_ok=True)
        await self._serving


def application(emulator: Emulator) -> Starlette:
    """The API as an ASGI application."""

    async def plans(request: Request) -> Response:
        return JSONResponse({"plans": [plan_table(plan) for plan in emulator.faults.plans]})

    async def add(request: Request) -> Response:
        name = request.query_params.get("name", "plan")
        plan = await asyncio.to_thread(
            read_plan, await _table(request), name=name, where="the plan"
        )
        try:
            # Before it is in force: a plan that cannot be listed would hide all others.
            answer = JSONResponse(plan_table(plan), 201)
        except ValueError as error:
            raise HTTPException(400, f"the plan cannot be written as JSON: {error}") from error
        try:
            emulator.faults.add(plan)
        except ValueError as error:
            raise HTTPException(409, str(error)) from error
        return answer

    async def remove(request: Request) -> Response:
        try:
            emulator.faults.remove(request.path_params["name"])
        except KeyError as error:
            raise HTTPException(404, error.args[0]) from error
        return Response(status_code=204)

    async def sessions(request: Request) -> Response:
        return JSONResponse({"sessions": [described(record) for record in emulator.sessions]})

    async def end(request: Request) -> Response:
        session_id = request.path_params["id"]
        if not emulator.end_session(session_id, "ended over the control API"):
            raise HTTPException(404, f"no session {session_id} runs")
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/plans", plans, methods=["GET"]),
            Route("/plans", add, methods=["POST"]),
            Route("/plans/{name:path}", remove, methods=["DELETE"]),
            Route("/sessions", sessions, methods=["GET"]),
            Route("/sessions/{id}", end, methods=["DELETE"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
        exception_handlers={HTTPException: _tell, PlanError: _tell},
    )


def described(record: SessionRecord) -> dict[str, Any]:
    """What is known of a session, without anything of what was said in it."""
    ending = record.ending
    return {
        "id": record.id,
        "endpoint": record.endpoint,
        "variant": record.variant,
        "status": "open" if record.open else "closed",
        "opened_at": record.opened_at,
        "closed_at": record.closed_at,
        "closed_by": record.closed_by,
        "clause": None if ending is None else ending.clause,
        "why": None if ending is None else ending.why,
        "parts_received": record.parts_received,
        "frames_sent": record.frames_sent,
        "frames_received": record.frames_received,
        "parts_sent": record.parts_sent,
        "unanswered_pings": record.unanswered_pings,
        "lost": [
            {
                "way": loss.way,
                "why": loss.why,
                "messages": loss.messages,
                "payload_bytes": loss.payload_bytes,
            }
            for loss in record.lost
        ],
    }


async def _table(request: Request) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (TOML, JSON):
        raise HTTPException(415, f"content-type {kind!r}: send {TOML} or {JSON}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_PLAN:
            raise HTTPException(413, f"the plan has more than {LARGEST_PLAN} bytes")
    try:
        document = await _json_of(bytes(body)) if kind == TOML else body.decode()
        table = await asyncio.to_thread(json.loads, document)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the plan is no valid {kind}: {error}") from error
    if not isinstance(table, dict):
        raise HTTPException(400, "the plan is no table of name, seed and rules")
    return table


async def _json_of(toml: bytes) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", _READ_TOML),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(toml)
    if process.returncode:
        raise ValueError(err.decode().strip() or "it takes more than two seconds to read")
    return out


async def _tell(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
    return JSONResponse({"error": str(error)}, 400)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise PortTaken(
            error.errno,
            f"the control API cannot listen on 127.0.0.1:{port} ({error.strerror}); stop what "
            "listens there, or choose another --control-port",
        ) from error
    # From now on who connects is served, however long the server takes to start.
    listener.listen()
    return listener
