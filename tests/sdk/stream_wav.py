"""A voice client as people write it: one WAV file, one stream, one JSON line at the end.

Shared by the scripts for the old and the new API of the SDK. It runs in environments that hold
the SDK and nothing else, so it imports the standard library alone, and the SDK's names are handed
in. It keeps to the rules that the SDK's traps impose: a pending `receive()` is never cancelled,
and the input is closed after the final transcript.
"""

import argparse
import asyncio
import base64
import json
import os
import platform
import sys
import time
import wave
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, NoReturn

CHUNK_BYTES = 4096
CHUNK_SECONDS = 0.128
DISTRIBUTION = "aws-sdk-sagemaker-runtime-http2"

type Invoke = Callable[[], Awaitable[Any]]
type MakePart = Callable[[bytes], Any]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Stream a WAV file through the AWS SDK.")
    parser.add_argument("--endpoint-url", required=True)
    parser.add_argument("--endpoint-name", required=True)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--wav", required=True, help="16 kHz, mono, 16 bit")
    parser.add_argument("--order", choices=["headers-first", "send-first"], default="headers-first")
    parser.add_argument("--speed", type=float, default=1.0, help="0: as fast as it goes")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for everything")
    parser.add_argument(
        "--headers-timeout",
        type=float,
        default=5.0,
        help="seconds after which the input is closed, to learn what SDK 0.4 keeps to itself",
    )
    return parser.parse_args()


class Report:
    """What the JSON line says."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.started = time.perf_counter()
        self.fields: dict[str, Any] = {
            "sdk": version(DISTRIBUTION),
            "awscrt": version("awscrt"),
            "python": platform.python_version(),
            "order": args.order,
            "text": None,
            "deltas": 0,
            "delta_text": "",
            "parts_sent": 0,
            "headers_seconds": None,
            "input_closed_to_learn": False,
            "input_close": None,
            "events": [],
            "exceptions": [],
        }

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.fields[name] = value

    def failed(self, where: str, error: BaseException) -> None:
        chain: list[dict[str, str]] = []
        cause: BaseException | None = error
        while cause is not None and len(chain) < 4:
            chain.append({"type": type(cause).__name__, "message": str(cause)})
            cause = cause.__cause__
        self["exceptions"].append(
            {
                "where": where,
                "type": chain[0]["type"],
                "message": chain[0]["message"],
                "error_code": getattr(error, "error_code", None),
                "causes": chain[1:],
                "seconds": round(time.perf_counter() - self.started, 3),
            }
        )


def chunks_of(path: str) -> list[bytes]:
    with wave.open(path, "rb") as file:
        shape = (file.getframerate(), file.getnchannels(), file.getsampwidth())
        if shape != (16_000, 1, 2):
            sys.exit(f"{path}: expected 16 kHz, mono, 16 bit, got {shape}")
        pcm = file.readframes(file.getnframes())
    return [pcm[start : start + CHUNK_BYTES] for start in range(0, len(pcm), CHUNK_BYTES)]


async def converse(
    args: argparse.Namespace, report: Report, invoke: Invoke, make_part: MakePart
) -> None:
    """Hold the conversation.

    `invoke()` gives the SDK's duplex stream; `make_part(data)` the event that carries a text.
    """
    try:
        duplex = await invoke()
    except Exception as error:
        report.failed("invoke", error)
        return
    greeted, over = asyncio.Event(), asyncio.Event()
    opened = asyncio.ensure_future(await_output(args, report, duplex, over))
    hearing = asyncio.ensure_future(hear(report, opened, greeted, over))
    sending = asyncio.ensure_future(send(args, report, duplex, make_part, greeted, over))
    await hearing
    over.set()
    await asyncio.wait({sending}, timeout=2)
    # On a stream that was refused or reset, the SDK waits here for a buffer that nobody empties.
    closing = asyncio.ensure_future(duplex.input_stream.close())
    await asyncio.wait({closing}, timeout=2)
    report["input_close"] = "returned" if closing.done() else "never returned"
    if closing.done() and closing.exception() is not None:
        report.failed("close", closing.exception())


async def await_output(
    args: argparse.Namespace, report: Report, duplex: Any, over: asyncio.Event
) -> Any:
    waiting = asyncio.ensure_future(duplex.await_output())
    await asyncio.wait({waiting}, timeout=args.headers_timeout)
    if not waiting.done():
        report["input_closed_to_learn"] = True
        over.set()
        await duplex.input_stream.close()
    try:
        _, output = await waiting
    except Exception as error:
        report.failed("await_output", error)
        return None
    report["headers_seconds"] = round(time.perf_counter() - report.started, 3)
    return output


async def hear(
    report: Report, opened: asyncio.Future[Any], greeted: asyncio.Event, over: asyncio.Event
) -> None:
    output = await opened
    if output is None:
        over.set()
        return
    while True:
        try:
            event = await output.receive()
        except Exception as error:
            report.failed("receive", error)
            break
        if event is None:
            report["events"].append("end of stream")
            break
        value = getattr(event, "value", None)
        data = getattr(value, "bytes_", None)
        if data is None:
            report["events"].append(type(event).__name__)
            continue
        message = json.loads(data)
        kind = message["type"]
        if kind == "session.created":
            greeted.set()
        elif kind == "transcription.delta":
            report["deltas"] += 1
            report["delta_text"] += message["delta"]
        elif kind == "transcription.done":
            report["text"] = message["text"]
            break
        else:
            report["events"].append(message)
    over.set()


async def send(
    args: argparse.Namespace,
    report: Report,
    duplex: Any,
    make_part: MakePart,
    greeted: asyncio.Event,
    over: asyncio.Event,
) -> None:
    async def put(message: dict[str, Any]) -> bool:
        # A dead stream never takes another part once the SDK's buffer is full: don't wait there.
        putting = asyncio.ensure_future(
            duplex.input_stream.send(make_part(json.dumps(message).encode()))
        )
        ended = asyncio.ensure_future(over.wait())
        await asyncio.wait({putting, ended}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not putting.done():
            return False
        putting.result()
        report["parts_sent"] += 1
        return True

    if args.order == "headers-first":
        ended = asyncio.ensure_future(over.wait())
        met = asyncio.ensure_future(greeted.wait())
        await asyncio.wait({ended, met}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        met.cancel()
    try:
        messages: list[dict[str, Any]] = [
            {"type": "session.update", "model": ""},
            {"type": "input_audio_buffer.commit", "final": False},
        ]
        for message in messages:
            if over.is_set() or not await put(message):
                return
        start = time.perf_counter()
        step = CHUNK_SECONDS / args.speed if args.speed else 0.0
        for index, chunk in enumerate(chunks_of(args.wav)):
            await asyncio.sleep(max(0.0, start + index * step - time.perf_counter()))
            audio = base64.b64encode(chunk).decode()
            message = {"type": "input_audio_buffer.append", "audio": audio}
            if over.is_set() or not await put(message):
                return
        await put({"type": "input_audio_buffer.commit", "final": True})
    except Exception as error:
        report.failed("send", error)


def run(invoke_with: Callable[[argparse.Namespace], Invoke], make_part: MakePart) -> None:
    """Run the conversation and print its report; exit status 0 with a transcript, else 1.

    `invoke_with(args)` gives the coroutine function that opens the stream.
    """
    args = arguments()
    report = Report(args)

    async def main() -> None:
        talking = asyncio.ensure_future(converse(args, report, invoke_with(args), make_part))
        await asyncio.wait({talking}, timeout=args.timeout)
        if not talking.done():
            report.failed("timeout", TimeoutError(f"no end within {args.timeout:g} s"))
        else:
            talking.result()
        # Here, and not after the loop: asyncio would wait for tasks that the SDK never ends.
        finish(report)

    asyncio.run(main())


def finish(report: Report) -> NoReturn:
    print(json.dumps(report.fields), flush=True)
    # What the SDK leaves behind (threads, open connections) is not this report's subject.
    os._exit(0 if report["text"] is not None else 1)
