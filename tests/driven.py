"""What the tests of health drive: a clock that tells who waits on it, a container of raw bytes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Self

from sagemaker_bidi.clock import Clock, ManualClock

LIMIT_SECONDS = 10.0


class DrivenClock(ManualClock):
    """A clock that a test moves, and on which it can wait for others to wait.

    Args:
        unscaled: what others are measured by; this clock itself unless given.
    """

    def __init__(self, unscaled: Clock | None = None) -> None:
        super().__init__()
        self._unscaled = unscaled
        self._waiting: dict[object, float] = {}
        self._changed = asyncio.Event()

    @property
    def unscaled(self) -> Clock:
        return self._unscaled or self

    async def sleep_until(self, deadline: float) -> None:
        key = object()
        self._waiting[key] = deadline
        self._changed.set()
        try:
            await super().sleep_until(deadline)
        finally:
            del self._waiting[key]

    async def wait_for_sleeper(self, seconds: float) -> None:
        """Wait until somebody sleeps on this clock for `seconds` from now."""
        await self.wait_for_sleepers(1, seconds)

    async def wait_for_sleepers(self, count: int, seconds: float) -> None:
        """Wait until so many sleep on this clock for `seconds` from now."""
        deadline = self.now() + seconds

        def asleep() -> int:
            return sum(math.isclose(each, deadline) for each in self._waiting.values())

        await self._until(lambda: asleep() >= count)

    async def pass_check(self, seconds: float, then: float | None = None) -> None:
        """Let a check of /ping come that is due in `seconds`, and wait until it is over.

        Args:
            then: seconds to the check after it; the same unless given.
        """
        await self.wait_for_sleeper(seconds)
        await self.advance(seconds)
        await self.wait_for_sleeper(seconds if then is None else then)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


async def watcher_ended() -> None:
    """Wait until no container is watched any more."""
    watchers = [task for task in asyncio.all_tasks() if task.get_name().startswith("health ")]
    async with asyncio.timeout(LIMIT_SECONDS):
        await asyncio.gather(*watchers)


class RawContainer:
    """A port that answers each request with the same bytes.

    Args:
        answer: what is sent; None leaves every request without an answer.
        host: address to listen on.
        closes: whether the connection is closed after the answer.
    """

    def __init__(
        self, answer: bytes | None, *, host: str = "127.0.0.1", closes: bool = True
    ) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self._host, self._closes = host, closes

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{self._port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            self.asked.set()
            if self.answer is not None:
                writer.write(self.answer)
            if self.answer is None or not self._closes:
                await reader.read()
        except OSError:
            pass
        finally:
            self.left.set()
            writer.close()
