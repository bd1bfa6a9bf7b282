"""A million mutated messages: no crash, no hang, no growth, and each answered by an error."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter

import pytest

from sagemaker_bidi.contract.eventstream.messages import (
    Decoder,
    EventStreamError,
    Limits,
    Message,
    Timestamp,
)
from sagemaker_bidi.contract.frames import InvalidPart, part_from_message

MUTATIONS = 1_000_000
LIMITS = Limits(header_bytes=1024, payload_bytes=4096)

PART = Message(
    {
        ":message-type": "event",
        ":event-type": "PayloadPart",
        ":content-type": "application/octet-stream",
        "DataType": "UTF8",
        "CompletionState": "PARTIAL",
    },
    b'{"type":"input_audio_buffer.append","audio":"AAAA"}',
).encode()
CHUNK = Message(
    {":date": Timestamp(1_790_000_000_000), ":chunk-signature": bytes(32)}, PART
).encode()


def mutate(message: bytes, chance: random.Random) -> bytes:
    """Change a message a little: bits, lengths, bytes taken out or put in, its end cut off."""
    mutated = bytearray(message)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(mutated))
        match chance.randrange(5):
            case 0:
                mutated[place] ^= 1 << chance.randrange(8)
            case 1:
                mutated[place] = chance.randrange(256)
            case 2:
                del mutated[place : place + chance.randint(1, 8)]
            case 3:
                mutated[place:place] = chance.randbytes(chance.randint(1, 8))
            case _:
                del mutated[place:]
        if not mutated:
            mutated += b"\0"
    return bytes(mutated)


def outcome(data: bytes) -> str:
    """What becomes of one mutated message."""
    decoder = Decoder(LIMITS)
    try:
        decoder.receive_data(data)
        message = decoder.next_message()
        if message is None:
            return "incomplete"
        part_from_message(message)
    except EventStreamError:
        return "not decoded"
    except InvalidPart:
        return "decoded, and no part"
    return "unchanged"


@pytest.mark.soak
@pytest.mark.clause("W3", "F7", "K5")
def test_a_million_mutated_messages_raise_nothing_but_what_is_documented() -> None:
    chance = random.Random(20261120)

    outcomes = Counter(
        outcome(mutate(PART if number % 2 else CHUNK, chance)) for number in range(MUTATIONS)
    )

    assert sum(outcomes.values()) == MUTATIONS
    # Nearly every mutation breaks a checksum or a length; one that is cut, or whose length has
    # grown, waits for the rest.
    assert outcomes["not decoded"] > MUTATIONS // 3
    assert outcomes["incomplete"] > MUTATIONS // 3


@pytest.mark.clause("K5")
def test_what_a_decoder_holds_stays_within_its_limits() -> None:
    chance = random.Random(20261120)
    for number in range(1000):
        decoder = Decoder(LIMITS)
        tracemalloc.start()
        try:
            for _ in range(100):
                decoder.receive_data(mutate(PART if number % 2 else CHUNK, chance) * 10)
                while decoder.next_message() is not None:
                    pass
        except EventStreamError:
            pass
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held < 64 * 1024, number
        assert peak < 256 * 1024, number
