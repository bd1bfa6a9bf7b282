"""The newest AWS SDK for Python against the emulator, unchanged.

Where the service has ended a stream, its input is not closed: whether the SDK then raises, returns
or waits for ever depends on what arrived first (`docs/scenarios`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from aws_sdk_sagemaker_runtime_http2.client import AsyncSageMakerRuntimeHTTP2Client
from aws_sdk_sagemaker_runtime_http2.config import AsyncSageMakerRuntimeHTTP2Config
from aws_sdk_sagemaker_runtime_http2.models import (
    InvokeEndpointWithBidirectionalStreamInput,
    ModelError,
    ModelStreamError,
    RequestPayloadPart,
    RequestStreamEventPayloadPart,
    ResponseStreamEventPayloadPart,
)
from smithy_aws_event_stream.exceptions import UnmodeledEventError
from smithy_core.exceptions import CallError
from smithy_http.aio.crt import AWSCRTHTTPClient

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from sagemaker_bidi_fixtures.containers.misbehaving import (
    CloseAfter,
    MisbehavingContainer,
    RefuseUpgrade,
)

LIMIT_SECONDS = 15.0


async def in_time[T](awaitable: Awaitable[T]) -> T:
    """Wait as one may with this SDK: cancelling a pending receive() corrupts its stream."""
    task = asyncio.ensure_future(awaitable)
    done, _ = await asyncio.wait({task}, timeout=LIMIT_SECONDS)
    assert done, f"the SDK has not answered within {LIMIT_SECONDS:g} s"
    return task.result()


async def client_of(emulator: Emulator, patch: pytest.MonkeyPatch) -> Any:
    """An SDK client, configured by the environment that the emulator hands out."""
    for name, value in emulator.trust().items():
        patch.setenv(name, value)
    config = await AsyncSageMakerRuntimeHTTP2Config.resolve(transport=AWSCRTHTTPClient())
    return AsyncSageMakerRuntimeHTTP2Client(config)


async def invoke(client: Any, endpoint: str = "echo", **fields: Any) -> Any:
    """Open a stream; its output is not waited for."""
    return await in_time(
        client.invoke_endpoint_with_bidirectional_stream(
            InvokeEndpointWithBidirectionalStreamInput(endpoint_name=endpoint, **fields)
        )
    )


def part(payload: bytes, **fields: str) -> RequestStreamEventPayloadPart:
    return RequestStreamEventPayloadPart(RequestPayloadPart(bytes_=payload, **fields))


async def test_the_sdk_gets_its_parts_back_and_a_clean_end_after_its_half_close(
    emulator: Emulator, echo: EchoContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await client_of(emulator, monkeypatch)
    stream = await invoke(client)
    output, events = await in_time(stream.await_output())
    assert output.invoked_production_variant == "AllTraffic"
    sent = [(b"text", "UTF8"), (b"\x00\xff", "BINARY"), (b"", "UTF8")]
    for payload, data_type in sent:
        await stream.input_stream.send(part(payload, data_type=data_type))
        event = await in_time(events.receive())
        assert isinstance(event, ResponseStreamEventPayloadPart)
        assert (event.value.bytes_ or b"", event.value.data_type) == (payload, data_type)
    await stream.input_stream.close()

    assert await in_time(events.receive()) is None
    assert [(f.payload, f.fin) for f in echo.frames[:3]] == [(p, True) for p, _ in sent]


async def test_the_sdk_may_send_before_it_waits_for_the_output(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await client_of(emulator, monkeypatch)
    stream = await invoke(client)
    await stream.input_stream.send(part(b"early", data_type="UTF8"))
    _, events = await in_time(stream.await_output())
    event = await in_time(events.receive())

    assert event.value.bytes_ == b"early"
    await stream.input_stream.close()
    assert await in_time(events.receive()) is None


async def test_the_sdk_raises_a_model_error_with_its_fields_for_a_refused_upgrade(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        MisbehavingContainer(RefuseUpgrade(503)) as container,
        Emulator({"echo": container.url}) as emulator,
    ):
        client = await client_of(emulator, monkeypatch)
        stream = await invoke(client)
        with pytest.raises(ModelError) as caught:
            await in_time(stream.await_output())

    assert caught.value.original_status_code == 424
    assert caught.value.error_code == "INTERNAL_FAILURE_FROM_MODEL"
    assert "Failed to establish WebSocket connection" in caught.value.message


async def test_the_sdk_raises_an_unmodelled_error_for_an_unknown_endpoint(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await client_of(emulator, monkeypatch)
    stream = await invoke(client, "nope")
    with pytest.raises(CallError, match=r"status: 400.*ValidationError"):
        await in_time(stream.await_output())


async def test_the_sdk_raises_a_model_stream_error_for_a_close_with_a_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        MisbehavingContainer(CloseAfter(1, 1011, "engine died")) as container,
        Emulator({"echo": container.url}) as emulator,
    ):
        client = await client_of(emulator, monkeypatch)
        stream = await invoke(client)
        _, events = await in_time(stream.await_output())
        await stream.input_stream.send(part(b"one", data_type="UTF8"))
        assert (await in_time(events.receive())).value.bytes_ == b"one"
        with pytest.raises(ModelStreamError) as caught:
            await in_time(events.receive())

    assert (caught.value.error_code, caught.value.message) == ("1011", "engine died")


async def test_the_sdk_raises_the_error_of_a_client_that_sends_too_many_events(
    echo: EchoContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(port=0, contract={"accept_seconds": 10.0, "events_per_second": 0.001})
    async with Emulator({"echo": echo.url}, config=config) as emulator:
        client = await client_of(emulator, monkeypatch)
        stream = await invoke(client)
        _, events = await in_time(stream.await_output())
        await stream.input_stream.send(part(b"one", data_type="UTF8"))
        assert (await in_time(events.receive())).value.bytes_ == b"one"
        await stream.input_stream.send(part(b"two", data_type="UTF8"))
        with pytest.raises(UnmodeledEventError, match=r"ThrottlingException - Rate exceeded"):
            await in_time(events.receive())


async def test_streams_of_one_sdk_client_go_on_when_one_ends_while_it_is_sending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        MisbehavingContainer(CloseAfter(3, 1000)) as brief,
        EchoContainer(port=0) as lasting,
        Emulator({"brief": brief.url, "lasting": lasting.url}) as emulator,
    ):
        client = await client_of(emulator, monkeypatch)
        first, second = await invoke(client, "brief"), await invoke(client, "lasting")
        _, first_events = await in_time(first.await_output())
        _, second_events = await in_time(second.await_output())
        for _ in range(20):
            await first.input_stream.send(part(bytes(3_200)))
        for _ in range(3):
            assert await in_time(first_events.receive()) is not None
        assert await in_time(first_events.receive()) is None

        for number in range(20):
            await second.input_stream.send(part(b"%d" % number, data_type="UTF8"))
            assert (await in_time(second_events.receive())).value.bytes_ == b"%d" % number
        await second.input_stream.close()
        assert await in_time(second_events.receive()) is None
