"""Input that cannot be accepted: the stream ends with an error, its siblings live (F7, W4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal
from zlib import crc32

from smithy_aws_event_stream.events import EventMessage

from sagemaker_bidi_contract.checks import ENDPOINT
from sagemaker_bidi_contract.endpoint.provenance import departs
from sagemaker_bidi_contract.endpoint.stage import EndpointStage
from sagemaker_bidi_contract.verdicts import Outcome, Unmet, failed, informational, ok
from sagemaker_bidi_contract.wire.duplex import Duplex
from sagemaker_bidi_contract.wire.events import Event, WirePart
from sagemaker_bidi_contract.wire.http2_stream import StreamEnd

_END_SECONDS = 5.0
_TEXT = "UTF8"
_VERIFIES = (
    "an emulator verifies only keys that it knows: its test pair, or those of [[credentials]]"
)


@dataclass(frozen=True, slots=True)
class Bad:
    """Input that a client must not send.

    Args:
        id: of the check.
        title: of the check.
        clauses: of the check.
        send: sends it, after one good part.
        signature: it is the signature that is wrong, and nothing else.
    """

    id: str
    title: str
    clauses: tuple[str, ...]
    send: Callable[[Duplex], Awaitable[None]]
    signature: bool = False


def _good(data: bytes = b"contract check") -> EventMessage:
    return WirePart(data, _TEXT, "COMPLETE").message()


async def _broken_signature(duplex: Duplex) -> None:
    data = bytearray(await duplex.sign(_good()))
    at = data.index(b":chunk-signature") + len(b":chunk-signature") + 3
    data[at] ^= 1
    await duplex.send_raw(_with_checksum(data), "a part with one bit of its signature changed")


async def _changed_payload(duplex: Duplex) -> None:
    data = bytearray(await duplex.sign(_good(b"contract check")))
    at = data.index(b"contract check")
    data[at : at + 8] = b"CONTRACT"
    # The event inside has a checksum of its own, which covers the payload too.
    start = data.index((len(_good().encode())).to_bytes(4), 12)
    inner = _with_checksum(bytearray(data[start:-4]))
    data[start:-4] = inner
    await duplex.send_raw(_with_checksum(data), "a part that was changed after it was signed")


async def _replayed(duplex: Duplex) -> None:
    data = await duplex.sign(_good())
    await duplex.send_raw(data + data, "a part twice, with the same signature")


async def _reordered(duplex: Duplex) -> None:
    first, second = await duplex.sign(_good(b"first")), await duplex.sign(_good(b"second"))
    await duplex.send_raw(second + first, "two parts in the wrong order")


async def _missing(duplex: Duplex) -> None:
    await duplex.sign(_good(b"never sent"))
    await duplex.send_raw(await duplex.sign(_good()), "a part whose predecessor was left out")


async def _unsigned(duplex: Duplex) -> None:
    await duplex.send_raw(_good().encode(), "a part with no signed message around it")


async def _bad_crc(duplex: Duplex) -> None:
    data = bytearray(await duplex.sign(_good()))
    data[-1] ^= 1
    await duplex.send_raw(bytes(data), "a signed message with a wrong CRC-32")


async def _bad_prelude(duplex: Duplex) -> None:
    data = bytearray(await duplex.sign(_good()))
    data[11] ^= 1
    await duplex.send_raw(bytes(data), "a signed message with a wrong CRC-32 of its prelude")


async def _truncated(duplex: Duplex) -> None:
    data = await duplex.sign(_good())
    await duplex.send_raw(data[: len(data) // 2], "half a signed message, END_STREAM", end=True)


async def _data_type(duplex: Duplex) -> None:
    await duplex.send(WirePart(b"contract check", "UTF16", "COMPLETE"))


async def _completion(duplex: Duplex) -> None:
    await duplex.send(WirePart(b"contract check", _TEXT, "DONE"))


async def _type_change(duplex: Duplex) -> None:
    await duplex.send(WirePart(b"one", _TEXT, "PARTIAL"))
    await duplex.send(WirePart(b"two", "BINARY", "COMPLETE"))


async def _event_type(duplex: Duplex) -> None:
    headers: dict[str, Any] = {":message-type": "event", ":event-type": "PayloadWhole"}
    data = await duplex.sign(EventMessage(headers=headers, payload=b"contract check"))
    await duplex.send_raw(data, "a signed event of the type PayloadWhole")


_SIGNED = ("F7", "W4")
_BAD = (
    Bad("chunk-signature", "A broken signature", _SIGNED, _broken_signature, signature=True),
    Bad("chunk-changed", "A part changed after signing", _SIGNED, _changed_payload, signature=True),
    Bad("chunk-replayed", "A part sent twice", _SIGNED, _replayed, signature=True),
    Bad("chunk-reordered", "Parts in the wrong order", _SIGNED, _reordered, signature=True),
    Bad("chunk-missing", "A part left out of the chain", _SIGNED, _missing, signature=True),
    Bad("chunk-unsigned", "An event that is not signed", _SIGNED, _unsigned),
    Bad("chunk-crc", "A wrong checksum", ("F7", "W3"), _bad_crc),
    Bad("chunk-prelude-crc", "A wrong checksum of the prelude", ("F7", "W3"), _bad_prelude),
    Bad("chunk-truncated", "Input that ends inside a message", ("F7", "W3"), _truncated),
    Bad("data-type", "A DataType that there is not", ("F7", "F2"), _data_type),
    Bad("completion-state", "A CompletionState that there is not", ("F7", "F3"), _completion),
    Bad("type-change", "A type that changes inside a message", ("F7", "F3"), _type_change),
    Bad("event-type", "An event type that there is not", ("F7", "W3"), _event_type),
)


def _register(bad: Bad) -> None:
    title = f"{bad.title}: the stream ends, and no other"

    @ENDPOINT.check(
        f"endpoint.{bad.id}", title, clauses=bad.clauses, requires=("stream",), seconds=45
    )
    async def check(stage: EndpointStage) -> Outcome:
        return await _after(stage, bad)


for _bad in _BAD:
    _register(_bad)


async def _after(stage: EndpointStage, bad: Bad) -> Outcome:
    on = await stage.connect()
    sibling = await stage.open(on)
    duplex = await stage.open(on)
    await duplex.send(WirePart(stage.options.message.encode(), _TEXT, "COMPLETE"))
    await bad.send(duplex)
    seen = await _what_came(duplex)
    if (harm := await _harm(sibling)) is not None:
        return failed(f"{seen.said}, and {harm}", expected="the other streams go on")
    match seen.kind:
        case "error":
            return ok(seen.said)
        case "end":
            return departs("F7", seen.said, expected="an error event, then END_STREAM")
        case "nothing":
            return await _taken_or_hung(duplex, bad)


@dataclass(frozen=True, slots=True)
class _Seen:
    kind: Literal["error", "end", "nothing"]
    said: str


async def _what_came(duplex: Duplex) -> _Seen:
    """Read to the end of the response, past parts; an error has its END_STREAM after it (E7)."""
    error = ""
    try:
        while isinstance(got := await duplex.receive(_END_SECONDS, "an error or an end"), Event):
            if got.is_error:
                error = str(got)
    except Unmet:
        if error:
            return _Seen("end", f"{error}, and no end of the stream within {_END_SECONDS:g} s")
        return _Seen("nothing", "nothing")
    if error and got.clean:
        return _Seen("error", f"{error}, then {got.how}")
    return _Seen("end", f"{error}, then {got.how}" if error else f"{got.how} and no error")


async def _harm(sibling: Duplex) -> str | None:
    """What has become of another stream on the connection, if it is not well."""
    try:
        await sibling.stream.connection.ping(_END_SECONDS)
    except Unmet as wrong:
        return f"the connection is dead: {wrong.summary}"
    end = sibling.stream.end
    return None if end is None else f"another stream on the connection ended with {end.how}"


async def _taken_or_hung(duplex: Duplex, bad: Bad) -> Outcome:
    """Nothing came: either the input was taken, or the stream hangs. Its end tells."""
    if not duplex.ended_input:
        await duplex.close_input()
    try:
        while isinstance(got := await duplex.receive(_END_SECONDS, "the end"), Event):
            pass
    except Unmet:
        return failed(
            f"nothing came within {_END_SECONDS:g} s, nor within another {_END_SECONDS:g} s after "
            "the input had been closed: the stream hangs",
            expected="an error, or the end of the stream",
        )
    assert isinstance(got, StreamEnd)
    said = f"it was taken without an error; after the end of the input came {got.how}"
    if bad.signature:
        said = f"{said} ({_VERIFIES})"
    return informational(said)


def _with_checksum(message: bytearray) -> bytes:
    """A message with the CRC-32 that its bytes have now."""
    return bytes(message[:-4]) + crc32(message[:-4]).to_bytes(4)
