"""An asynchronous context on a thread of its own, for code that has no event loop, or blocks it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Any


class OwnThread[T]:
    """Enters an asynchronous context on a thread and a loop of its own, and leaves it there.

        with OwnThread(EchoContainer(port=0), "echo") as container:

    Args:
        context: what is entered. It must not be bound to a loop yet.
        name: of the thread.
    """

    def __init__(self, context: AbstractAsyncContextManager[T], name: str) -> None:
        self._context = context
        self._entered: Future[T] = Future()
        self._left = asyncio.Event()
        self._failed: BaseException | None = None
        # Of a program that ends without leaving the context nobody is kept waiting.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> T:
        self._thread.start()
        try:
            return self._entered.result()
        except Exception:
            self._thread.join()
            raise

    def __exit__(self, *exc: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._left.set)
        self._thread.join()
        if self._failed is not None:
            raise self._failed

    def run[R](self, work: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine there and wait for what it returns."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _run(self) -> None:
        try:
            asyncio.run(self._stay())
        except BaseException as error:
            if self._entered.done():
                self._failed = error
            else:
                self._entered.set_exception(error)

    async def _stay(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with self._context as entered:
            self._entered.set_result(entered)
            await self._left.wait()


def call_on[R](loop: asyncio.AbstractEventLoop | None, work: Callable[[], R]) -> R:
    """Call a function where a loop runs, from whatever thread, and return what it returns.

    Args:
        loop: None, or one that does not run: the function is called here.
        work: is quick, and waits for nothing.
    """
    if loop is None or not loop.is_running() or _runs_here(loop):
        return work()
    done: Future[R] = Future()

    def call() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    loop.call_soon_threadsafe(call)
    return done.result()


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
