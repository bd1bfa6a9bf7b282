"""Plays clients on one release of the AWS SDK, and tells what each of them saw.

It runs in an environment that holds the SDK and nothing else, and lives long: a job is one JSON
line on standard input, its report one JSON line on standard output, in any order. It keeps to the
rules that the SDK's traps impose: a pending `receive()` is never cancelled, and nothing is waited
for longer than the job's patience.

A job: `id`, `url`, `endpoint`, `sends` (texts, or a number of bytes), `habit` (`echo` waits for an
answer to each part, `talk` sends and receives at the same time), `until` (the JSON type that ends
a talk), `pause` (seconds between parts), `close` (`after` all, `at-once` behind the
last part, `never`), `streams`, `again` (invoke once more afterwards), `patience` (seconds).
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Awaitable
from importlib.metadata import version
from typing import Any

import aws_sdk_sagemaker_runtime_http2.client as sdk
from aws_sdk_sagemaker_runtime_http2.models import (
    InvokeEndpointWithBidirectionalStreamInput,
    RequestPayloadPart,
    RequestStreamEventPayloadPart,
)

REGION = "us-east-1"
NO_PART = "no part"
FIELDS = ("error_code", "original_status_code", "original_message")

type Entry = dict[str, Any]


async def make_client(url: str) -> Any:
    """A client as its release wants it made; each has its own connection."""
    if hasattr(sdk, "AsyncSageMakerRuntimeHTTP2Client"):
        from aws_sdk_sagemaker_runtime_http2.config import AsyncSageMakerRuntimeHTTP2Config
        from smithy_http.aio.crt import AWSCRTHTTPClient

        config = await AsyncSageMakerRuntimeHTTP2Config.resolve(
            endpoint_uri=url, region=REGION, transport=AWSCRTHTTPClient()
        )
        return sdk.AsyncSageMakerRuntimeHTTP2Client(config=config)
    from aws_sdk_sagemaker_runtime_http2.config import Config
    from smithy_aws_core.identity import EnvironmentCredentialsResolver

    resolver = EnvironmentCredentialsResolver()  # type: ignore[no-untyped-call]
    return sdk.SageMakerRuntimeHTTP2Client(
        config=Config(endpoint_uri=url, region=REGION, aws_credentials_identity_resolver=resolver)
    )


def part(send: str | int) -> RequestStreamEventPayloadPart:
    data = send.encode() if isinstance(send, str) else bytes(send)
    return RequestStreamEventPayloadPart(
        value=RequestPayloadPart(bytes_=data, data_type="UTF8", completion_state="COMPLETE")
    )


class Nothing(Exception):
    """The patience is over."""


class Raised(Exception):
    """The SDK raised; carries what."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Conversation:
    """One invocation, and what came of it."""

    def __init__(self, client: Any, job: dict[str, Any]) -> None:
        self.client = client
        self.job = job
        self.entries: list[Entry] = []
        self.round_trips: list[float] = []
        self.opened, self.over = asyncio.Event(), asyncio.Event()
        self.closed = False
        self.duplex: Any = None
        self.output: Any = None

    def saw(self, at: str, saw: str, **more: Any) -> None:
        self.entries.append(
            {"at": at, "saw": saw, **{key: value for key, value in more.items() if value}}
        )

    def saw_part(self, value: Any, kind: str | None) -> None:
        """Note a part; those of one type that come in a row are one entry."""
        entry = {"data_type": value.data_type, **({"type": kind} if kind else {})}
        last = self.entries[-1] if self.entries else {}
        same = (last.get("data_type"), last.get("type")) == (value.data_type, kind)
        if not same or last["saw"] != "PayloadPart":
            last = {"at": "receive", "saw": "PayloadPart", **entry, "count": 0}
            self.entries.append(last)
        last["count"] += 1
        match document(value.bytes_):
            case {"type": "transcription.done", "text": text}:
                last["text"] = text
            case {"type": "transcription.delta", "delta": text}:
                last["text"] = last.get("text", "") + text
            case {"type": "error", "error": error, "code": code}:
                last["text"] = f"{code}: {error}"

    async def within(self, awaitable: Awaitable[Any], seconds: float | None = None) -> Any:
        """The result; a task that is still pending is left alone."""
        task = asyncio.ensure_future(awaitable)
        await asyncio.wait({task}, timeout=seconds or self.job["patience"])
        if not task.done():
            raise Nothing
        try:
            return task.result()
        except Exception as error:
            raise Raised(error) from error

    async def step(self, at: str, awaitable: Awaitable[Any], **more: Any) -> Any:
        """As `within`; what is not a result is noted, and ends the conversation."""
        try:
            return await self.within(awaitable)
        except Nothing:
            self.saw(at, "nothing", **more)
            raise
        except Raised as raised:
            self.saw(at, "exception", **describe(raised.error), **more)
            raise

    async def run(self) -> list[Entry]:
        try:
            await self.open()
        except (Nothing, Raised):
            if self.duplex is not None:
                await self.close()
            return self.entries
        self.opened.set()
        talk = self.talk if self.job["habit"] == "talk" else self.echo
        try:
            await talk()
        except (Nothing, Raised):
            self.over.set()
            await self.close()
        return self.entries

    async def open(self) -> None:
        invoke = self.client.invoke_endpoint_with_bidirectional_stream(
            InvokeEndpointWithBidirectionalStreamInput(endpoint_name=self.job["endpoint"])
        )
        self.duplex = await self.step("invoke", invoke)
        waiting = asyncio.ensure_future(self.duplex.await_output())
        try:
            _, self.output = await self.step("await_output", waiting)
        except Nothing:
            # SDK 0.4 says only now what it has known for long.
            await self.close()
            _, self.output = await self.step("await_output", waiting, after="closing the input")

    async def echo(self) -> None:
        for send in self.job["sends"]:
            started = time.perf_counter()
            await self.step("send", self.duplex.input_stream.send(part(send)))
            if self.job["close"] == "at-once":
                # So that the answers are under way when the input is closed.
                await asyncio.sleep(self.job["pause"])
            else:
                while await self.receive() == NO_PART:
                    pass
                self.round_trips.append(time.perf_counter() - started)
        await self.to_the_end()

    async def talk(self) -> None:
        sending = asyncio.ensure_future(self.send_all())
        try:
            while await self.receive() != self.job["until"]:
                pass
        except Nothing:
            if not sending.done():
                self.saw("send", "nothing")
            raise
        await self.to_the_end()

    async def send_all(self) -> None:
        for send in self.job["sends"]:
            if self.over.is_set():
                return
            try:
                await self.duplex.input_stream.send(part(send))
            except Exception as error:
                if not self.over.is_set():
                    self.saw("send", "exception", **describe(error))
                return
            await asyncio.sleep(self.job["pause"])

    async def to_the_end(self) -> None:
        if self.job["close"] != "never":
            await self.close()
        while True:
            await self.receive()

    async def receive(self) -> str | None:
        event = await self.step("receive", self.output.receive())
        if event is None:
            self.saw("receive", "end of stream")
            raise Raised(EOFError())
        value = getattr(event, "value", None)
        data = getattr(value, "bytes_", None)
        if data is None and not hasattr(value, "data_type"):
            self.saw("receive", type(event).__name__, tag=getattr(event, "tag", None))
            return NO_PART
        kind = document(data).get("type")
        self.saw_part(value, kind)
        return kind

    async def close(self) -> None:
        # Whether this returns on a stream that is over is a matter of chance: it is not noted.
        if not self.closed:
            self.closed = True
            with contextlib.suppress(Nothing, Raised):
                await self.within(self.duplex.input_stream.close(), 1.0)


def describe(error: BaseException) -> Entry:
    chain: list[dict[str, str]] = []
    cause = error.__cause__
    while cause is not None and len(chain) < 3:
        chain.append({"type": type(cause).__name__, "message": str(cause)})
        cause = cause.__cause__
    fields = {name: getattr(error, name, None) for name in FIELDS}
    return {
        "type": type(error).__name__,
        "message": str(error),
        "fields": {name: value for name, value in fields.items() if value},
        "causes": chain,
    }


def document(data: bytes | None) -> dict[str, Any]:
    """The JSON object that a part carries, or an empty one."""
    try:
        found = json.loads(data or b"")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


async def play(job: dict[str, Any]) -> dict[str, Any]:
    client = await make_client(job["url"])
    sessions = [Conversation(client, job) for _ in range(job["streams"])]
    running = []
    for session in sessions:
        # The order in which they open decides whom a plan means.
        task = asyncio.ensure_future(session.run())
        opened = asyncio.ensure_future(session.opened.wait())
        await asyncio.wait({task, opened}, return_when=asyncio.FIRST_COMPLETED)
        running.append(task)
    reports = [await each for each in running]
    if job["again"]:
        reports.append(await Conversation(client, {**job, "close": "after"}).run())
    trips = [each for session in sessions for each in session.round_trips]
    return {"id": job["id"], "sessions": reports, "round_trip": min(trips, default=None)}


async def main() -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, "")

    async def answer(line: str) -> None:
        job = json.loads(line)
        try:
            report = await play(job)
        except Exception as error:
            report = {"id": job["id"], "failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(report), flush=True)

    print(json.dumps({"sdk": version("aws-sdk-sagemaker-runtime-http2")}), flush=True)
    loop.run_in_executor(None, read)
    playing = set()
    while line := await lines.get():
        task = asyncio.ensure_future(answer(line))
        playing.add(task)
        task.add_done_callback(playing.discard)
    # Tasks and threads that the SDK never ends must not hold the process.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
