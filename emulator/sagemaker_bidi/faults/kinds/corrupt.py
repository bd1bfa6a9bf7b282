"""`corrupt`: a byte of what passes is another one."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal
from zlib import crc32

from sagemaker_bidi.contract.frames import Frame, Part, encode_part
from sagemaker_bidi.faults.fault import Kind, Scene, fault
from sagemaker_bidi.tap import Item, Point, Raw, TappedSession

PRELUDE = 12
CHECKSUM = 4


@fault
@dataclass(frozen=True)
class Corrupt:
    """Damages each part or frame; where it is empty there is no payload to damage.

    Args:
        where: `payload` changes one byte of it and leaves all else right, in any direction; the
            other three damage the event-stream message for the client (W3): `message-crc` and
            `prelude-crc` the checksums, `header` a header's value type, with right checksums.
    """

    name: ClassVar[str] = "corrupt"
    where: Literal["payload", "message-crc", "prelude-crc", "header"] = "payload"

    @property
    def points(self) -> tuple[Point, ...]:
        """A frame of the container's has neither checksums nor headers."""
        if self.where == "payload":
            return ("to-client", "to-container", "from-container")
        return ("to-client",)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Errors and Close frames have no payload that it could damage."""
        return ("data", "ping", "pong", "any") if self.where == "payload" else ("data", "any")

    async def apply(self, session: TappedSession, item: Item, scene: Scene) -> Sequence[Item]:
        if not isinstance(item, Part | Frame):
            return (item,)
        if self.where == "payload":
            if not item.payload:
                return (item,)
            payload = bytearray(item.payload)
            payload[scene.random.randrange(len(payload))] ^= 1 << scene.random.randrange(8)
            return (replace(item, payload=bytes(payload)),)
        if isinstance(item, Frame):
            return (item,)
        data = bytearray(encode_part(item))
        match self.where:
            case "message-crc":
                data[-1] ^= 0xFF
            case "prelude-crc":
                data[PRELUDE - 1] ^= 0xFF
            case "header":
                _spoil_first_header(data)
        return (Raw(bytes(data)),)


def _spoil_first_header(data: bytearray) -> None:
    name_length = data[PRELUDE]
    data[PRELUDE + 1 + name_length] = 0xFF
    data[-CHECKSUM:] = struct.pack(">I", crc32(data[:-CHECKSUM]))
