"""`bidi serve`: the emulator as a process."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from emulator.announce import announce
from emulator.config import Config, load_config
from emulator.emulator import Emulator, listen
from emulator.hosting.hosted import HostedContainer, ImageRun
from emulator.taps.plan import Plan

logger = logging.getLogger("bidi.serve")

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_here(
    config: Config,
    listener: socket.socket | None = None,
    *,
    plans: Sequence[Plan] = (),
    images: Sequence[ImageRun] = (),
    control_port: int | None = None,
    quiet: bool = False,
    lifeline: int | None = None,
) -> int:
    """Run the emulator in this process until it is told to stop.

    SIGTERM gives open sessions `config.grace` seconds, Ctrl-C none; a second signal ends at once.

    Args:
        listener: a listening socket to take connections from.
        plans: fault plans in force from the start.
        images: containers to run, each the endpoint that it names.
        control_port: where the control API listens; None serves none, 0 takes a free port.
        quiet: print nothing.
        lifeline: descriptor of a pipe whose other end its parent holds: the end of that stops
            this process as SIGTERM does.

    Returns:
        The exit status.

    Raises:
        PortTaken: an address cannot be listened on.
        DockerError, UnfitImage: an image cannot be run.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(
            _serve(
                config,
                listener,
                plans=plans,
                images=images,
                control_port=control_port,
                quiet=quiet,
                lifeline=lifeline,
            )
        )
    return 0


async def _serve(
    config: Config,
    listener: socket.socket | None,
    *,
    plans: Sequence[Plan],
    images: Sequence[ImageRun],
    control_port: int | None,
    quiet: bool,
    lifeline: int | None,
) -> None:
    signals = _listen_for_signals()
    loop = asyncio.get_running_loop()
    if lifeline is not None:

        def orphaned() -> None:
            loop.remove_reader(lifeline)
            signals.put_nowait(signal.SIGTERM)

        loop.add_reader(lifeline, orphaned)
    async with AsyncExitStack() as running:
        if images and listener is None:
            # A port that is taken is no reason to start and stop a container.
            listener = listen(config.host, config.port)
            running.callback(listener.close)
        containers = [await running.enter_async_context(HostedContainer(each)) for each in images]
        if containers:
            config = _with_hosted(config, containers)
        emulator = Emulator(config=config, listener=listener, plans=plans)
        await emulator.start()
        running.push_async_callback(emulator.stop)
        control = None
        if control_port is not None:
            from emulator.taps.control import Control

            control = (await running.enter_async_context(Control(emulator, control_port))).url
        # What is there now stays: the collector need not look through it again and again.
        gc.collect()
        gc.freeze()
        if not quiet:
            announce(emulator, config, plans, control)
        first = await signals.get()
        grace = config.grace if first is signal.SIGTERM else 0.0
        logger.info(
            "%s: stopping, open sessions have %g s (a second signal ends at once)",
            first.name,
            grace,
        )
        hurrying = asyncio.create_task(_hurry(signals, emulator, containers), name="hurry")
        try:
            await emulator.stop(grace=grace)
            await running.aclose()
        finally:
            hurrying.cancel()


def _listen_for_signals() -> asyncio.Queue[signal.Signals]:
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, signals.put_nowait, number)
    # A terminal that closes would leave containers behind; nohup asks to go on without it.
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        loop.add_signal_handler(signal.SIGHUP, signals.put_nowait, signal.SIGHUP)
    # A worker is started with them blocked, so that none is missed before this.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    return signals


async def _hurry(
    signals: asyncio.Queue[signal.Signals],
    emulator: Emulator,
    containers: Sequence[HostedContainer],
) -> None:
    """A second signal leaves neither sessions nor containers more time."""
    await signals.get()
    emulator.hurry()
    for container in containers:
        container.hurry()


def _with_hosted(config: Config, containers: Sequence[HostedContainer]) -> Config:
    """The configuration with each container as the endpoint that it is."""
    given = config.model_dump(exclude_defaults=True)
    hosted = {container.run.endpoint: {"url": container.url} for container in containers}
    given["endpoints"] = {**given.get("endpoints", {}), **hosted}
    return load_config(overrides=given)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
