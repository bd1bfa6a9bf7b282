"""`GET /ping` as SageMaker sends it to a container (K4)."""

from __future__ import annotations

import asyncio
from urllib.parse import SplitResult, urlsplit

import h11

from sagemaker_bidi.clock import Clock
from sagemaker_bidi.contract.health import PingAnswer

READ_SIZE = 16 * 1024
# h11 quotes the whole line that it cannot read.
LONGEST_DETAIL = 200


async def ping(url: str, *, clock: Clock, seconds: float) -> PingAnswer:
    """Ask a container for its health.

    Args:
        url: `ws://HOST:PORT` of the container.
        clock: measures the container, so it is never scaled.
        seconds: time for the whole answer.
    """
    address = urlsplit(url)
    try:
        async with clock.within(seconds):
            status = await _get(address)
    except TimeoutError:
        return PingAnswer(None, f"did not answer within {seconds:g} s")
    except OSError as error:
        return PingAnswer(None, f"could not be reached ({error.strerror or error})")
    except UnicodeError as error:
        return PingAnswer(
            None, f"could not be reached ({address.hostname!r} is no host name: {error})"
        )
    except (h11.RemoteProtocolError, EOFError) as error:
        return PingAnswer(None, f"did not answer in HTTP ({str(error)[:LONGEST_DETAIL]})")
    return PingAnswer(status, f"answered {status}")


async def _get(address: SplitResult) -> int:
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        connection = h11.Connection(h11.CLIENT)
        headers = [("host", address.netloc), ("connection", "close")]
        request = h11.Request(method="GET", target="/ping", headers=headers)
        writer.write(connection.send(request) or b"")
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                data = await reader.read(READ_SIZE)
                if not data:
                    raise EOFError("it closed the connection")
                connection.receive_data(data)
            elif isinstance(event, h11.Response):
                return event.status_code
    finally:
        writer.transport.abort()
