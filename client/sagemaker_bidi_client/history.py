"""What happened on a stream, in order, in counts: never what was said."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class History:
    """Counts of parts and bytes in each direction, and the milestones between them."""

    sent: int = 0
    received: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    _milestones: list[tuple[int, int, str]] = field(default_factory=list)

    def part_sent(self, size: int) -> None:
        """Count a payload part of `size` bytes that was handed to the SDK."""
        self.sent += 1
        self.sent_bytes += size

    def part_received(self, size: int) -> None:
        """Count a payload part of `size` bytes that arrived."""
        self.received += 1
        self.received_bytes += size

    def mark(self, what: str) -> None:
        """Note a milestone, such as "response 200"."""
        self._milestones.append((self.sent, self.received, what))

    def __str__(self) -> str:
        """Tell it in order: "request; 2 parts sent; response 200; 48 sent, 12 received; reset"."""
        told: list[str] = []
        sent = received = 0
        for up_to_sent, up_to_received, what in [
            *self._milestones,
            (self.sent, self.received, ""),
        ]:
            counts = [
                f"{count} part{'s' * (count != 1)} {verb}"
                for count, verb in (
                    (up_to_sent - sent, "sent"),
                    (up_to_received - received, "received"),
                )
                if count
            ]
            if counts:
                told.append(" and ".join(counts))
            if what:
                told.append(what)
            sent, received = up_to_sent, up_to_received
        told.append(f"in all {self.sent_bytes} bytes sent, {self.received_bytes} received")
        return "; ".join(told)
