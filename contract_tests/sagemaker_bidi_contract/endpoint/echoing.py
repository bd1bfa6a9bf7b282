"""Sending parts through an echo container, and finding all of them again."""

from __future__ import annotations

from collections.abc import Sequence

from sagemaker_bidi_contract.verdicts import Outcome, failed, ok
from sagemaker_bidi_contract.wire.duplex import Duplex
from sagemaker_bidi_contract.wire.events import WirePart

ECHO_SECONDS = 10.0
_LAST = WirePart(b'{"contract.check": "the last part"}', "UTF8", "COMPLETE")


async def echoed(
    duplex: Duplex, parts: Sequence[WirePart], within: float = ECHO_SECONDS
) -> list[WirePart]:
    """Send parts, and a last one that tells where they end; give what came back before that.

    Args:
        duplex: open, with an echo container behind.
        parts: the last of them ends a message.
        within: seconds for each part that comes back.

    Returns:
        What came before the last part, but one part more than were sent at most.

    Raises:
        Unmet: the stream ended, or the last part did not come back.
    """
    for part in parts:
        await duplex.send(part, within)
    await duplex.send(_LAST, within)
    found: list[WirePart] = []
    # One more than were sent is enough to tell that something is wrong.
    while len(found) <= len(parts):
        number = len(found) + 1
        what = f"part {number} of {len(parts)}" if number <= len(parts) else "the last part"
        got = await duplex.part(within, what)
        if got == _LAST:
            return found
        found.append(got)
    return found


def compared(sent: Sequence[WirePart], got: Sequence[WirePart], said: str) -> Outcome:
    """OK where each part came back once, in order, as it was; else FAILED with the first that
    did not.

    Args:
        sent: the parts, with what is expected of each.
        got: what came back.
        said: what the check shows, in words.
    """
    for number, (wanted, found) in enumerate(zip(sent, got, strict=False), start=1):
        if found != wanted:
            return failed(
                f"part {number} of {len(sent)} came back as {_differing(found, wanted)}",
                expected=f"{wanted}: each part makes one frame, and each frame one part",
            )
    if len(got) < len(sent):
        return failed(
            f"{len(got)} of {len(sent)} parts came back", expected="each part, once, in order"
        )
    if len(got) > len(sent):
        return failed(
            f"more than {len(sent)} parts came back; the first that nobody sent is "
            f"{got[len(sent)]}",
            expected="each part, once, in order",
        )
    return ok(said)


def _differing(found: WirePart, wanted: WirePart) -> str:
    if len(found.data) != len(wanted.data) or found.data == wanted.data:
        return str(found)
    at = next(i for i, (a, b) in enumerate(zip(found.data, wanted.data, strict=True)) if a != b)
    return f"{found}, with another byte at {at:,}"
