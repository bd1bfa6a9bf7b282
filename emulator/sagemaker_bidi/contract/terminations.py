"""What the service itself ends a stream for: what each side is told, and what the developer reads.

The container's own endings are in `endings`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.eventstream.messages import EventStreamError
from sagemaker_bidi.contract.frames import InvalidPart
from sagemaker_bidi.contract.outputs import CloseContainer, Ending
from sagemaker_bidi.contract.settings import ContractSettings
from sagemaker_bidi.contract.sigv4.chunks import ChunkSignatureError

_LONGEST_DETAIL = 1000


@dataclass(frozen=True, slots=True)
class Termination:
    """The end of a session, and the Close frame for its container."""

    ending: Ending
    close: CloseContainer


def invalid_input(
    settings: ContractSettings,
    number: int,
    error: EventStreamError | ChunkSignatureError | InvalidPart,
) -> Termination:
    """The client's event `number`, counted from 1, is invalid (F7)."""
    # It quotes the client's headers, which may be longer than an error can be.
    detail = f"event {number}: {error}"[:_LONGEST_DETAIL]
    why = f"the client sent an invalid {detail}"
    shown = settings.invalid_input_error
    if isinstance(error, ChunkSignatureError):
        # It names the event itself, and its type travels as the code.
        detail = error.message[:_LONGEST_DETAIL]
        why = f"the client sent an event that breaks the chain: {error.detail}"
        why = why[:_LONGEST_DETAIL]
        shown = replace(shown, code=error.type)
    return Termination(
        Ending("emulator", "F7", why, _filled(shown, "{detail}", detail)),
        CloseContainer(1001, "client sent an invalid event"),
    )


def too_many_events(settings: ContractSettings) -> Termination:
    """The client sent more than `events_per_second` (K5)."""
    events = f"{settings.events_per_second:g}"
    return Termination(
        Ending(
            "emulator",
            "K5",
            f"the client sent more than {events} events a second (events_per_second)",
            _filled(settings.event_rate_error, "{events}", events),
            "put more into each event, and send them at the speed of the audio",
        ),
        CloseContainer(1001, "client sent too many events"),
    )


def missed_pongs(settings: ContractSettings, pings: int, *, output_unread: bool) -> Termination:
    """The container answered none of so many pings in a row (K1).

    Args:
        output_unread: the client leaves its output unread, so that the container is not read
            either: a pong of its may wait behind what it has said.
    """
    hint = (
        "the client did not read its output, so the container was not read either: its pongs "
        "may wait behind what it has said; receive all the time, also while sending"
        if output_unread
        else "a container that is blocked or frozen answers no pings; its endpoint stays in service"
    )
    return Termination(
        Ending(
            "emulator",
            "K1",
            f"the container answered none of {pings} consecutive pings",
            _filled(settings.missed_pongs_error, "{pings}", str(pings)),
            hint,
        ),
        CloseContainer(1011, "keepalive ping timeout", discard=True),
    )


def expired(settings: ContractSettings) -> Termination:
    """The stream has lived its longest (K2)."""
    seconds = f"{settings.lifetime:g}"
    return Termination(
        Ending(
            "emulator",
            "K2",
            f"the stream lived its longest, {seconds} s",
            _filled(settings.lifetime_error, "{seconds}", seconds),
            "open a new stream before that and carry on there",
        ),
        CloseContainer(1001, "stream reached its longest duration"),
    )


def idle(settings: ContractSettings) -> Termination:
    """Neither a part nor a frame has passed for `idle_seconds` (K5)."""
    seconds = f"{settings.idle_seconds:g}"
    return Termination(
        Ending(
            "emulator",
            "K5",
            f"neither a part nor a frame passed for {seconds} s (idle_seconds)",
            _filled(settings.idle_error, "{seconds}", seconds),
            "send something in time, silence too; what a slow container has not taken or the "
            "client has not read has not passed",
        ),
        CloseContainer(1001, "stream was idle"),
    )


def metadata_lost(settings: ContractSettings, code: int) -> Termination:
    """The metadata stream, which the container requires, has ended (M3).

    Args:
        code: of its Close frame; 1005 and 1006 as RFC 6455 7.4.1 has them.
    """
    return Termination(
        Ending(
            "container",
            "M3",
            f"the metadata stream, which the container requires, ended with {code}",
            settings.metadata_lost_error,
        ),
        CloseContainer(1011, "metadata stream lost"),
    )


def shut_down(settings: ContractSettings) -> Termination:
    """The emulator stops and waits no longer (E5)."""
    return Termination(
        Ending("emulator", "E5", "the emulator stopped", settings.shutdown_error),
        CloseContainer(1001, "service is shutting down"),
    )


def _filled(error: StreamError, name: str, value: str) -> StreamError:
    return replace(error, message=error.message.replace(name, value))
