"""Parts through an echo container and back: text, binary, fragments, sizes, order (F1-F3, K5)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sagemaker_bidi_contract.checks import ENDPOINT
from sagemaker_bidi_contract.endpoint.echoing import ECHO_SECONDS, compared, echoed
from sagemaker_bidi_contract.endpoint.provenance import departs
from sagemaker_bidi_contract.endpoint.stage import EndpointStage
from sagemaker_bidi_contract.verdicts import Outcome, Unmet, failed, informational, ok
from sagemaker_bidi_contract.wire.events import OCTETS, Event, WirePart

_NEEDS = ("stream", "echo")
_MIB = 2**20
_MANY = 300
_LARGE_SECONDS = 30.0
_ROWS = 20


async def _there_and_back(
    stage: EndpointStage, parts: list[WirePart], said: str, within: float = ECHO_SECONDS
) -> Outcome:
    got = await echoed(await stage.open(), parts, within)
    return compared(parts, got, said)


@ENDPOINT.check(
    "endpoint.part-headers",
    "A part of the response has the headers of W3",
    clauses=("W3",),
    requires=_NEEDS,
)
async def part_headers(stage: EndpointStage) -> Outcome:
    duplex = await stage.open()
    await duplex.send(WirePart(b"one", "UTF8", "COMPLETE"))
    got = await duplex.receive(ECHO_SECONDS, "a part")
    if not isinstance(got, Event):
        return failed(f"in place of a part came {got.how}", expected="a part")
    wanted = {
        ":message-type": "event",
        ":event-type": "PayloadPart",
        ":content-type": OCTETS,
        "DataType": "UTF8",
        "CompletionState": "COMPLETE",
    }
    wrong = [
        f"{name} is {got.headers.get(name)!r}"
        for name, value in wanted.items()
        if got.headers.get(name) != value
    ]
    if wrong:
        expected = ", ".join(f"{name}: {value}" for name, value in wanted.items())
        return departs("W3", "; ".join(wrong), expected=expected)
    return ok(", ".join(f"{name}: {value}" for name, value in got.headers.items()))


@ENDPOINT.check(
    "endpoint.text-part", "Text comes back as UTF8", clauses=("F2", "F1"), requires=_NEEDS
)
async def text_part(stage: EndpointStage) -> Outcome:
    parts = [WirePart(text.encode(), "UTF8", "COMPLETE") for text in ("one", "zwei ü", "три €")]
    return await _there_and_back(stage, parts, f"{len(parts)} text parts came back as UTF8")


@ENDPOINT.check(
    "endpoint.binary-part", "Binary comes back as BINARY", clauses=("F2", "F1"), requires=_NEEDS
)
async def binary_part(stage: EndpointStage) -> Outcome:
    parts = [WirePart(bytes(range(256)), "BINARY", "COMPLETE")]
    return await _there_and_back(stage, parts, "all 256 values of a byte came back as BINARY")


@ENDPOINT.check(
    "endpoint.no-data-type",
    "A part with no DataType is a binary frame",
    clauses=("F2", "F6"),
    requires=_NEEDS,
)
async def no_data_type(stage: EndpointStage) -> Outcome:
    got = await echoed(await stage.open(), [WirePart(b'{"type": "text"}')])
    wanted = WirePart(b'{"type": "text"}', "BINARY", "COMPLETE")
    return compared([wanted], got, "text with neither DataType nor state came back as BINARY")


@ENDPOINT.check(
    "endpoint.invalid-utf8",
    "Bytes pass unread, invalid UTF-8 in a text part too",
    clauses=("F1",),
    requires=_NEEDS,
)
async def invalid_utf8(stage: EndpointStage) -> Outcome:
    parts = [
        WirePart(b"\xff\xfe no UTF-8 \xc3", "UTF8", "COMPLETE"),
        WirePart(b"\xed\xa0\x80", "UTF8", "COMPLETE"),
    ]
    duplex = await stage.open()
    try:
        got = await echoed(duplex, parts)
    except Unmet as wrong:
        if stage.options.behind == "obeying":
            raise
        # Of an echo nobody knows whether the bytes have reached it.
        return informational(
            f"{wrong.summary}: an echo that keeps RFC 6455, 8.1 closes with 1007; whether the "
            "endpoint passes such bytes on, a container shows that reads frames: --behind obeying"
        )
    return compared(parts, got, "invalid UTF-8 came back byte for byte")


@ENDPOINT.check(
    "endpoint.empty-parts", "Empty parts make empty frames", clauses=("F1",), requires=_NEEDS
)
async def empty_parts(stage: EndpointStage) -> Outcome:
    parts = [
        WirePart(b"", "UTF8", "COMPLETE"),
        WirePart(b"", "BINARY", "COMPLETE"),
        WirePart(b"", "UTF8", "COMPLETE"),
    ]
    return await _there_and_back(stage, parts, "3 empty parts came back, each in its type")


@ENDPOINT.check(
    "endpoint.padding",
    "The header P is not for the container",
    clauses=("W3", "F1"),
    requires=_NEEDS,
)
async def padding(stage: EndpointStage) -> Outcome:
    part = WirePart(b"padded", "UTF8", "COMPLETE", padding="abcdefghijklmnop")
    got = await echoed(await stage.open(), [part])
    return compared([replace(part, padding=None)], got, "a part with padding came back as it was")


@ENDPOINT.check(
    "endpoint.fragments",
    "PARTIAL parts are the fragments of one message",
    clauses=("F3", "F4"),
    requires=_NEEDS,
)
async def fragments(stage: EndpointStage) -> Outcome:
    return await _fragments(stage, [b"one ", b"", b"two ", b"three"], "UTF8")


@ENDPOINT.check(
    "endpoint.fragments-binary",
    "Binary fragments, empty at both ends",
    clauses=("F3", "F4"),
    requires=_NEEDS,
)
async def fragments_binary(stage: EndpointStage) -> Outcome:
    return await _fragments(stage, [b"", b"\x80\xff", b""], "BINARY")


@ENDPOINT.check(
    "endpoint.fragments-split-character",
    "A character may be split between parts",
    clauses=("F3", "F1"),
    requires=_NEEDS,
)
async def fragments_split_character(stage: EndpointStage) -> Outcome:
    euro = "€".encode()
    return await _fragments(stage, [euro[:1], euro[1:2], euro[2:]], "UTF8")


async def _fragments(stage: EndpointStage, pieces: list[bytes], data_type: str) -> Outcome:
    states = ["PARTIAL"] * (len(pieces) - 1) + ["COMPLETE"]
    parts = [WirePart(data, data_type, state) for data, state in zip(pieces, states, strict=True)]
    got = await echoed(await stage.open(), parts)
    if got == [WirePart(b"".join(pieces), data_type, "COMPLETE")]:
        return departs(
            "F4",
            f"{len(parts)} PARTIAL and COMPLETE parts came back as one message",
            expected="a frame for each part, with its FIN bit (F3)",
            advice="contract.reassemble of an emulator is on",
        )
    return compared(parts, got, f"{len(parts)} fragments came back, each with its state")


@ENDPOINT.check(
    "endpoint.many-parts", f"{_MANY} parts keep their order", clauses=("F1",), requires=_NEEDS
)
async def many_parts(stage: EndpointStage) -> Outcome:
    parts = [
        WirePart(f"part {number}".encode(), "BINARY" if number % 3 == 0 else "UTF8", "COMPLETE")
        for number in range(_MANY)
    ]
    return await _there_and_back(stage, parts, f"{_MANY} parts came back, once each, in order")


@ENDPOINT.check(
    "endpoint.sessions-apart",
    "Streams of one connection do not mix",
    clauses=("F1", "W1"),
    requires=_NEEDS,
    seconds=60,
)
async def sessions_apart(stage: EndpointStage) -> Outcome:
    on = await stage.connect()
    opened = [await stage.open(on) for _ in range(4)]
    sent = [
        [WirePart(f"stream {i}, part {n}".encode(), "UTF8", "COMPLETE") for n in range(_ROWS)]
        for i in range(len(opened))
    ]
    got = await asyncio.gather(
        *(echoed(duplex, parts) for duplex, parts in zip(opened, sent, strict=True))
    )
    for number, (wanted, found) in enumerate(zip(sent, got, strict=True), start=1):
        outcome = compared(wanted, found, "")
        if outcome.expected:
            return failed(f"stream {number}: {outcome.summary}", expected=outcome.expected)
    return ok(f"{len(opened)} streams at once with {_ROWS} parts each, none went astray")


@ENDPOINT.check(
    "endpoint.slow-reader",
    "A client that does not read holds up only its own stream",
    clauses=("W1", "F1"),
    requires=_NEEDS,
    seconds=90,
)
async def slow_reader(stage: EndpointStage) -> Outcome:
    on = await stage.connect()
    slow, quick = await stage.open(on), await stage.open(on)
    slow.stream.hold()
    slow.note("no more WINDOW_UPDATE on this stream")
    parts = [WirePart(bytes([number]) * 16_384, "BINARY", "COMPLETE") for number in range(64)]
    flooding = asyncio.create_task(echoed(slow, parts, _LARGE_SECONDS))
    try:
        one = [WirePart(b"meanwhile", "UTF8", "COMPLETE")]
        try:
            got = await echoed(quick, one)
        except Unmet as wrong:
            return failed(
                f"while one stream was not read, another got nothing: {wrong.summary}",
                expected="the other streams of the connection go on",
            )
        if got != one:
            return compared(one, got, "")
        slow.note("WINDOW_UPDATE again")
        slow.stream.release()
        found = await flooding
    finally:
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
    return compared(parts, found, "a sibling went on, and then all that had waited came, in order")


@ENDPOINT.check(
    "endpoint.part-1-mib", "A part of 1 MiB", clauses=("K5", "F1"), requires=_NEEDS, seconds=60
)
async def part_1_mib(stage: EndpointStage) -> Outcome:
    return await _large(stage, 1)


@ENDPOINT.check(
    "endpoint.part-8-mib", "A part of 8 MiB", clauses=("K5", "F1"), requires=_NEEDS, seconds=90
)
async def part_8_mib(stage: EndpointStage) -> Outcome:
    return await _large(stage, 8)


async def _large(stage: EndpointStage, size: int) -> Outcome:
    """The limit is unpublished (K5): a refusal is news, other bytes are a fault."""
    part = WirePart(bytes(range(256)) * (size * _MIB // 256), "BINARY", "COMPLETE")
    duplex = await stage.open()
    try:
        await duplex.send(part, _LARGE_SECONDS)
        got = await duplex.receive(_LARGE_SECONDS, f"the part of {size} MiB")
    except Unmet as wrong:
        return failed(f"a part of {size} MiB: {wrong.summary}", expected="the part, or an error")
    found = got.part if isinstance(got, Event) else None
    if found is None:
        came = str(got) if isinstance(got, Event) else got.how
        return departs(
            "K5", f"a part of {size} MiB was answered with {came}", expected="that it is taken"
        )
    return compared([part], [found], f"a part of {size} MiB came back in one part")
