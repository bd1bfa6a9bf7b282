"""How a container ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class ContainerFailed(RuntimeError):
    """The container never became healthy, and its endpoint has failed.

    Args:
        what: one sentence.
        log: the last lines of its log.
    """

    def __init__(self, what: str, log: Iterable[str] = ()) -> None:
        self.what = what
        self.log = tuple(log)
        super().__init__("\n  ".join([what, "the end of its log:", *self.log]))


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a container ended after SIGTERM; `killed` where 30 s were not enough for it."""

    code: int
    seconds: float
    killed: bool
