"""What a container makes of something it was sent: it goes on, closes in words, or just dies."""

from __future__ import annotations

from dataclasses import dataclass

from websockets.frames import Frame

from sagemaker_bidi_contract.exchange import milliseconds
from sagemaker_bidi_contract.verdicts import Outcome, Unmet, failed, non_strict, ok
from sagemaker_bidi_contract.wire.received import End
from sagemaker_bidi_contract.wire.stream import FrameStream

PONG_SECONDS = 5.0
_GRACE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Alive:
    """It still answers pings; the pong took `seconds`."""

    seconds: float


type Aftermath = Alive | End | None
"""None: it neither answers a ping nor ends the connection."""


async def aftermath(session: FrameStream) -> Aftermath:
    """Find out with a ping how a session stands after what it was sent.

    A layer below the application may answer the ping while the application is about to close, so
    an end shortly after the pong counts.
    """
    alive: Alive | None = None
    try:
        alive = Alive(await session.pong(b"still there?", PONG_SECONDS))
        end, _ = await session.ended(_GRACE_SECONDS, "nothing more")
    except Unmet:
        return session.end or alive
    return end


async def survives(
    session: FrameStream,
    frames: list[Frame],
    what: str,
    *,
    allowed: tuple[int, ...] = (),
    strict: bool = True,
    may_drop: bool = False,
    advice: str = "",
) -> Outcome:
    """Send frames and judge what becomes of the session.

    Args:
        session: open.
        frames: what to send.
        what: the frames in words.
        allowed: Close codes that are as good as going on.
        strict: whether other Close codes are FAILED, or NON-STRICT.
        may_drop: whether it may _Fail the WebSocket Connection_, of which RFC 6455, 7.1.7 says that
            a Close frame SHOULD come before TCP ends.
        advice: for a container that fails.
    """
    await session.send_many(frames)
    expected = "it is taken or ignored, and pings are still answered"
    match await aftermath(session):
        case Alive(seconds):
            return ok(f"{what}: taken, and the next ping answered after {milliseconds(seconds)}")
        case End(code=None, broken=False, how=how) if may_drop:
            return non_strict(f"{what}: {how}", expected=expected, advice=advice)
        case End(code=None, how=how):
            return failed(f"{what}: {how}", expected=expected, advice=advice)
        case End(code=code, how=how) if code in allowed:
            return ok(f"{what}: {how}")
        case End(how=how) if strict:
            return failed(f"{what}: {how}", expected=expected, advice=advice)
        case End(how=how):
            return non_strict(f"{what}: {how}", expected=expected, advice=advice)
        case None:
            return failed(
                f"{what}: no pong within {PONG_SECONDS:g} s, and no end",
                expected=f"{expected}, or a Close frame",
                advice=advice,
            )
