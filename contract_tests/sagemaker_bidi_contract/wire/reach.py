"""Whether a target can be reached at all, and whether what listens there is a container."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl

from sagemaker_bidi_contract.exchange import beginning
from sagemaker_bidi_contract.options import ContainerTarget, EndpointTarget

_READ_BYTES = 1_024
_STATUS = len("HTTP/1.1 ")
_TLS_ALERT = b"\x15\x03"


def why_unreachable(target: ContainerTarget | EndpointTarget, error: OSError | UnicodeError) -> str:
    """Say why no TCP connection came about."""
    if isinstance(error, socket.gaierror | UnicodeError):
        why = error.strerror if isinstance(error, socket.gaierror) else error
        return f"the name {target.host!r} does not resolve to an address ({why})"
    # asyncio's own text repeats the address.
    why = os.strerror(error.errno) if error.errno else str(error)
    return f"nothing listens at {target.address} ({why})"


async def no_container(target: ContainerTarget, within: float) -> str | None:
    """Ask for `/ping`, and say what listens there where it speaks no HTTP/1.1 (O2, K4).

    Silence, and an end without an answer, are left to the checks: a container may do that too.

    Args:
        target: accepts TCP connections.
        within: seconds for the answer, and again for a TLS handshake.

    Raises:
        OSError: no TCP connection.
    """
    answer = await _answer(target, within)
    if answer is None:
        return None
    spoken = answer.startswith(b"HTTP/1.")
    # To a request without TLS some send an alert, some just end, some answer HTTP 400.
    if answer.startswith(_TLS_ALERT) or (
        (not spoken or answer.startswith(b"400", _STATUS)) and await _speaks_tls(target, within)
    ):
        return (
            f"{target.address} speaks TLS, which SageMaker does not use towards a container (O2); "
            f"if an endpoint listens there, write {EndpointTarget(target.host, target.port).url}"
        )
    if spoken or not answer:
        return None
    return f"{target.address} speaks no HTTP/1.1: GET /ping was answered with {beginning(answer)}"


async def _answer(target: ContainerTarget, within: float) -> bytes | None:
    """The answer to `/ping` up to its status, or its end; None where nothing came in time."""
    reader, writer = await asyncio.open_connection(target.host, target.port)
    request = f"GET /ping HTTP/1.1\r\nHost: {target.address}\r\nConnection: close\r\n\r\n"
    answer = b""
    try:
        async with asyncio.timeout(within):
            writer.write(request.encode("ascii"))
            while len(answer) < _STATUS + 3 and (more := await reader.read(_READ_BYTES)):
                answer += more
    except TimeoutError:
        return answer or None
    except OSError:
        return answer
    finally:
        writer.transport.abort()
    return answer


async def _speaks_tls(target: ContainerTarget, within: float) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(within):
            _, writer = await asyncio.open_connection(target.host, target.port, ssl=context)
    except (OSError, EOFError):
        return False
    writer.transport.abort()
    return True
