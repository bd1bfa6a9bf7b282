"""Neither a client nor a container writes its secrets or its own lines into our log."""

from __future__ import annotations

import pytest

from sagemaker_bidi_fixtures.containers.misbehaving import CloseAfter, MisbehavingContainer
from tests.transport.http2.raw_client import RawClient, request
from tests.transport.http2.served import layer
from tests.transport.world import world


@pytest.mark.parametrize(
    "field",
    [
        ("x-amz-security-token", "SECRET\n"),
        ("x-amz-security-token", " SECRET"),
        ("x-amz-security-token", "SECRET\x00"),
        ("x-amz-security-token", "it's SECRET\r"),
        ("SECRET ", "value"),
        ("te", "SECRET"),
        (":SECRET", "value"),
    ],
)
async def test_a_header_that_is_refused_is_not_quoted(
    field: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async with layer() as served, RawClient(served.port) as client:
        client.send(client.headers_frame(1, [*request(), field]))
        await client.until(lambda: client.over(1))

    assert "since the client broke the stream" in caplog.text
    assert "SECRET" not in caplog.text


async def test_a_query_for_the_container_is_logged_without_its_values(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "bidi")
    async with world() as w:
        stream = await w.client.open(
            headers={"x-amzn-sagemaker-model-query-string": "token=SECRET&lang=en"}
        )
        await w.exchange(stream)
        refused = await w.client.open(
            headers={"x-amzn-sagemaker-model-query-string": "token=SECRET bad"}
        )
        await refused.finished()
        assert w.container.requests[0].path.endswith("?token=SECRET&lang=en")

    assert "?token=…&lang=…" in caplog.text
    assert "SECRET" not in caplog.text


async def test_a_containers_close_reason_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    reason = "bye\r\n2026-11-27 INFO bidi.session FORGED\x1b]0;title\x07"
    async with world(MisbehavingContainer(CloseAfter(1, 1011, reason))) as w:
        stream = await w.client.open()
        await stream.send(b"hello", "UTF8")
        await stream.finished()
        await w.watch.session_ended()

    (line,) = [text for text in caplog.messages if "ended by the container" in text]
    assert r"bye\r\n2026-11-27 INFO bidi.session FORGED\x1b]0;title\x07" in line
    assert "\n" not in line


async def test_an_endpoints_name_and_a_path_forge_no_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world() as w:
        for path in (
            "/endpoints/a%0aFORGED%1b%5b31m/invocations-bidirectional-stream",
            "/\u009b31mFORGED",
        ):
            await (await w.client.open(path=path)).finished()

    assert any("FORGED" in line for line in caplog.messages)
    assert not any(set(line) & set("\n\r\x1b\x9b") for line in caplog.messages)
