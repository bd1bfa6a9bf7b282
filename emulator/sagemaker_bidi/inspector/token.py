"""Who may use the control API: whoever can read a file of its owner's, and no web page."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from sagemaker_bidi.transport.identity import state_folder


def token_file(port: int, folder: Path | None = None) -> Path:
    """Where the token of a control API is kept.

    Args:
        port: where that listens.
        folder: the emulator's state folder; the user's own unless given.
    """
    return (folder or state_folder()) / f"control-{port}.token"


def write_token(path: Path) -> str:
    """Make a token and a file of it that its owner alone can read.

    Raises:
        OSError: it cannot be written.
    """
    token = secrets.token_urlsafe(24)
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token)
    return token


class Guard:
    """Lets requests by that bring the token, and none of a web page's (ASGI middleware).

    Args:
        app: what it stands before.
        token: what `authorization: Bearer …` has to hold.
        where: the file that holds it, for the error.
    """

    def __init__(self, app: ASGIApp, token: str, where: Path) -> None:
        self._app = app
        self._expected = f"bearer {token}".encode()
        self._where = where

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self._refusal(dict(scope["headers"]))):
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, headers: dict[bytes, bytes]) -> JSONResponse | None:
        if b"origin" in headers:
            return JSONResponse({"error": "no web page may use this API (Origin)"}, 403)
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if not secrets.compare_digest(scheme.lower() + b" " + token.strip(), self._expected):
            return JSONResponse(
                {
                    "error": "the token is missing or wrong: send `authorization: Bearer TOKEN` "
                    f"with what {self._where} holds"
                },
                401,
                headers={"www-authenticate": "Bearer"},
            )
        return None
