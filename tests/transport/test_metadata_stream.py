"""A container is offered a second WebSocket for metadata, over real sockets (M1)."""

from __future__ import annotations

import pytest

from sagemaker_bidi_fixtures.containers.server import DATA_PATH
from tests.transport.metered import (
    DEFAULT_PATH,
    PATH,
    REQUEST_ID,
    REQUIRED,
    SUPPORTED,
    MeteredContainer,
    echoed,
    opened,
)
from tests.transport.world import world


@pytest.mark.clause("M1")
async def test_a_second_websocket_follows_the_first_with_the_same_request_id() -> None:
    container = MeteredContainer(SUPPORTED)
    async with world(container) as w:
        stream = await opened(w)

        assert [request.path for request in container.requests] == [DATA_PATH, DEFAULT_PATH]
        ids = {request.headers[REQUEST_ID] for request in container.requests}
        assert ids == {stream.headers["x-amzn-requestid"]}


@pytest.mark.clause("M1")
@pytest.mark.parametrize(
    "headers",
    [(), (("X-Amzn-SageMaker-Metadata-Stream-Supported", "false"), REQUIRED), (REQUIRED,)],
)
async def test_no_second_websocket_is_opened_without_an_offer(
    headers: tuple[tuple[str, str], ...],
) -> None:
    container = MeteredContainer(*headers)
    async with world(container) as w:
        stream = await opened(w)

        assert await echoed(stream)
        assert [request.path for request in container.requests] == [DATA_PATH]
        assert w.record.metering == {}


@pytest.mark.clause("M1")
@pytest.mark.parametrize(
    "name",
    ["x-amzn-sagemaker-metadata-stream-supported", "X-AMZN-SAGEMAKER-METADATA-STREAM-SUPPORTED"],
)
async def test_an_offer_is_read_in_any_case(name: str) -> None:
    container = MeteredContainer((name, "True"))
    async with world(container) as w:
        await opened(w)

        assert len(container.requests) == 2


@pytest.mark.clause("M1")
@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("/v1/usage", "/v1/usage"),
        ("v1/usage", "/v1/usage"),
        ("usage#1", "/usage%231"),
        ("my usage", "/my%20usage"),
    ],
)
async def test_the_container_may_name_the_path(value: str, path: str) -> None:
    container = MeteredContainer(SUPPORTED, REQUIRED, (PATH, value), paths=(path,))
    async with world(container) as w:
        await opened(w)

        assert container.requests[1].path == path


@pytest.mark.clause("M1")
async def test_the_clients_path_and_query_are_for_the_data_stream_alone() -> None:
    container = MeteredContainer(SUPPORTED, paths=(DEFAULT_PATH, "/v1/realtime"))
    async with world(container) as w:
        headers = {
            "X-Amzn-SageMaker-Model-Invocation-Path": "v1/realtime",
            "X-Amzn-SageMaker-Model-Query-String": "model=x",
        }
        await (await w.client.open(headers=headers)).opened()

        assert [request.path for request in container.requests] == [
            "/v1/realtime?model=x",
            DEFAULT_PATH,
        ]
