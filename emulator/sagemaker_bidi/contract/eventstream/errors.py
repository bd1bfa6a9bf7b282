"""What can be wrong with an event-stream message (W3), each fault with its own name."""


class EventStreamError(ValueError):
    """A message breaks the event-stream format (W3).

    Args:
        message: what was received, what was expected, and where.
        offset: where the message starts, in bytes from the start of the stream; None when the
            fault is in a message that is being encoded.
    """

    def __init__(self, message: str, *, offset: int | None = None) -> None:
        where = "" if offset is None else f" (message at byte {offset} of the stream)"
        super().__init__(f"{message}{where}")
        self.offset = offset


class PreludeChecksumMismatch(EventStreamError):
    """The CRC-32 of the two lengths differs from the one that follows them."""


class MessageChecksumMismatch(EventStreamError):
    """The CRC-32 of the message differs from the one at its end."""


class InvalidLength(EventStreamError):
    """The total length has no room for the headers that it announces."""


class HeadersTooLong(EventStreamError):
    """The headers exceed `Limits.header_bytes`."""


class PayloadTooLong(EventStreamError):
    """The payload exceeds `Limits.payload_bytes`."""


class InvalidHeader(EventStreamError):
    """A header is cut short, of an unknown type, without a name, not UTF-8, or out of range."""


class DuplicateHeader(EventStreamError):
    """Two headers of a message have the same name."""


class TruncatedMessage(EventStreamError):
    """The stream ended inside a message."""


class TrailingBytes(EventStreamError):
    """More follows where one message was expected."""
