"""`bidi serve`: the emulator as a process."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from sagemaker_bidi.config import Config, endpoint_tables
from sagemaker_bidi.containers.hosted import HostedContainer, ImageRun
from sagemaker_bidi.emulator import Emulator, listen
from sagemaker_bidi.faults.plan import Plan
from sagemaker_bidi.serving.announce import announce
from sagemaker_bidi.shown import logger_named

logger = logger_named("bidi.serve")


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that stop this process in order."""
    stopping = (signal.SIGINT, signal.SIGTERM)
    # A terminal that closes would leave containers behind; nohup asks to go on without it.
    heard = signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    return (*stopping, signal.SIGHUP) if heard else stopping


@dataclass(frozen=True, slots=True)
class Stop:
    """One order to stop.

    Args:
        why: for the log.
        gentle: open sessions have the time of grace.
    """

    why: str
    gentle: bool


def run_here(
    config: Config,
    listener: socket.socket | None = None,
    *,
    plans: Sequence[Plan] = (),
    images: Sequence[ImageRun] = (),
    control_port: int | None = None,
    quiet: bool = False,
    orders: int | None = None,
) -> int:
    """Run the emulator in this process until it is told to stop.

    SIGTERM and SIGHUP give open sessions `config.grace` seconds, Ctrl-C none; a second signal ends
    at once.

    Args:
        listener: a listening socket to take connections from.
        plans: fault plans in force from the start.
        images: containers to run, each the endpoint that it names.
        control_port: where the control API listens; None serves none, 0 takes a free port.
        quiet: print nothing.
        orders: descriptor of a pipe from its parent, which sends each signal as a byte; its end
            stops this process as SIGTERM does. Unless given, signals are heard as they come.

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
                orders=orders,
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
    orders: int | None,
) -> None:
    stops = _hear_signals() if orders is None else _hear_orders(orders)
    async with AsyncExitStack() as running:
        if images and listener is None:
            # A port that is taken is no reason to start and stop a container.
            listener = listen(config.host, config.port)
            running.callback(listener.close)
        # It may take so long on the emulator's clock, which the monitor goes by too (K4).
        startup = config.contract_settings().startup_seconds / config.time_scale
        containers: list[HostedContainer] = []
        if images and not await _started(running, images, startup, containers, stops):
            return
        if containers:
            urls = {container.run.endpoint: container.url for container in containers}
            config = config.over({"endpoints": endpoint_tables(urls)})
        emulator = Emulator(config=config, listener=listener, plans=plans, keep_bytes=0)
        await emulator.start()
        running.push_async_callback(emulator.stop)
        control = None
        if control_port is not None:
            from sagemaker_bidi.inspector.control import Control

            api = await running.enter_async_context(Control(emulator, control_port))
            control = f"{api.url} (token in {api.token_file})"
        # What is there now stays: the collector need not look through it again and again.
        gc.collect()
        gc.freeze()
        _warn_of_strangers(config)
        if not quiet:
            announce(emulator, config, plans, control)
        first = await stops.get()
        grace = config.grace if first.gentle else 0.0
        logger.info(
            "%s: stopping, open sessions have %g s (a second signal ends at once)",
            first.why,
            grace,
        )
        second = asyncio.create_task(_stop_now(stops, emulator, containers), name="second signal")
        try:
            await emulator.stop(grace=grace)
            await running.aclose()
        finally:
            second.cancel()


def _warn_of_strangers(config: Config) -> None:
    try:
        alone = ipaddress.ip_address(config.host).is_loopback
    except ValueError:
        alone = config.host == "localhost"
    if not alone:
        logger.warning(
            "listening on %s: whoever reaches this machine can use its endpoints%s; in a "
            "container, publish the port to this machine alone: -p 127.0.0.1:%d:%d",
            config.host,
            ", with any key" if config.unknown_keys == "accept" else "",
            config.port,
            config.port,
        )


async def _started(
    running: AsyncExitStack,
    images: Sequence[ImageRun],
    startup: float,
    containers: list[HostedContainer],
    stops: asyncio.Queue[Stop],
) -> bool:
    """Start containers, unless told to stop before they run; then False.

    What has been started is in `containers`, and stops with `running`.
    """

    async def start() -> None:
        for each in images:
            hosted = HostedContainer(each, startup=startup)
            containers.append(await running.enter_async_context(hosted))

    starting = asyncio.create_task(start(), name="start containers")
    told = asyncio.create_task(stops.get(), name="stop")
    await asyncio.wait({starting, told}, return_when=asyncio.FIRST_COMPLETED)
    if not told.done():
        told.cancel()
        await starting
        return True
    logger.info(
        "%s: stopping before the containers run (a second signal waits for Docker no longer)",
        told.result().why,
    )
    starting.cancel()
    again = asyncio.create_task(stops.get(), name="stop")
    await asyncio.wait({starting, again}, return_when=asyncio.FIRST_COMPLETED)
    starting.cancel()
    again.cancel()
    await asyncio.gather(starting, again, return_exceptions=True)
    return False


def _hear_signals() -> asyncio.Queue[Stop]:
    stops: asyncio.Queue[Stop] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in stop_signals():
        stop = Stop(number.name, number is not signal.SIGINT)
        loop.add_signal_handler(number, stops.put_nowait, stop)
    return stops


def _hear_orders(orders: int) -> asyncio.Queue[Stop]:
    stops: asyncio.Queue[Stop] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        received = os.read(orders, 64)
        for number in received:
            name = signal.Signals(number).name
            stops.put_nowait(Stop(f"the parent asks ({name})", number != signal.SIGINT))
        if not received:
            stops.put_nowait(Stop("the parent has ended", gentle=True))
            loop.remove_reader(orders)

    loop.add_reader(orders, read)
    return stops


async def _stop_now(
    stops: asyncio.Queue[Stop],
    emulator: Emulator,
    containers: Sequence[HostedContainer],
) -> None:
    """A second signal leaves neither sessions nor containers more time."""
    await stops.get()
    emulator.stop_now()
    for container in containers:
        container.stop_now()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
