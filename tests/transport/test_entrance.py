"""What a client meets before HTTP/2 begins: a port that takes it and says nothing (W6)."""

from __future__ import annotations

import asyncio
import ssl

import h2.config
import h2.connection
import pytest

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi_fixtures.containers.echo import EchoContainer


@pytest.mark.clause("W6")
async def test_port_443_accepts_a_connection_and_never_answers(echo: EchoContainer) -> None:
    async with Emulator({"echo": echo.url}, config=Config(port=0, entrance="mute")) as emulator:
        host, _, port = emulator.url.removeprefix("https://").partition(":")
        context = ssl.create_default_context(cafile=str(emulator.ca))
        context.set_alpn_protocols(["h2"])
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
        client = h2.connection.H2Connection(h2.config.H2Configuration())
        client.initiate_connection()
        writer.write(client.data_to_send())
        await writer.drain()

        await emulator.stop()

        answered = await reader.read()
        writer.close()
        assert answered == b"", "not even the server's SETTINGS"
        assert emulator.sessions == []
