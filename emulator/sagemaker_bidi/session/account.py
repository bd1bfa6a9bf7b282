"""A session's account: what was accepted from one side, and what became of it.

For each way `accepted + added = delivered + lost`, in messages and, with `changed`, in bytes. A
message is delivered once it has been handed to the network; whether the other side took it there
is for that side to say.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from sagemaker_bidi.transport.deliveries import TOO_LATE


@dataclass(slots=True)
class Tally:
    """A number of messages and their payload bytes."""

    messages: int = 0
    payload_bytes: int = 0

    def count(self, size: int, messages: int = 1) -> None:
        """One more message of `size` bytes."""
        self.messages += messages
        self.payload_bytes += size


@dataclass(slots=True)
class Way:
    """One direction's account.

    Args:
        accepted: taken in from one side.
        added: put in by a tap.
        changed: bytes by which taps made messages longer, or shorter where negative.
        delivered: handed to the other side's network.
        lost: neither, by reason.
    """

    accepted: Tally = field(default_factory=Tally)
    added: Tally = field(default_factory=Tally)
    changed: int = 0
    delivered: Tally = field(default_factory=Tally)
    lost: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))

    @property
    def lost_messages(self) -> int:
        """How many messages were lost, for whatever reason."""
        return sum(tally.messages for tally in self.lost.values())

    @property
    def under_way(self) -> Tally:
        """What is neither delivered nor lost yet; nothing once the session is over."""
        lost = self.lost.values()
        return Tally(
            self.accepted.messages
            + self.added.messages
            - self.delivered.messages
            - self.lost_messages,
            self.accepted.payload_bytes
            + self.added.payload_bytes
            + self.changed
            - self.delivered.payload_bytes
            - sum(tally.payload_bytes for tally in lost),
        )

    def deliver(self, size: int) -> None:
        """A message of `size` bytes has been handed to the network."""
        self.delivered.count(size)

    def lose(self, size: int, why: str) -> None:
        """A message of `size` bytes will not arrive."""
        self.lost[why].count(size)

    def too_late(self, size: int) -> None:
        """A message of `size` bytes has come that the session can take no more."""
        self.accepted.count(size)
        self.lose(size, TOO_LATE)

    def replaced(self, size: int, results: list[int], why: str) -> None:
        """A tap let messages of other sizes pass in the place of one.

        Args:
            size: of the message.
            results: of what passes instead; empty where it was dropped.
            why: for the loss.
        """
        if not results:
            self.lose(size, why)
            return
        self.changed += results[0] - size
        for added in results[1:]:
            self.added.count(added)


@dataclass(slots=True)
class Account:
    """Both directions of a session: `input` to the container, `output` to the client."""

    input: Way = field(default_factory=Way)
    output: Way = field(default_factory=Way)

    @property
    def balanced(self) -> bool:
        """Whether nothing is unaccounted for; holds once a session is over."""
        return self.input.under_way == Tally() and self.output.under_way == Tally()
