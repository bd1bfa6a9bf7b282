"""A bridge whose model server is dead, slow, refusing or sick (O3, O4, K4)."""

from __future__ import annotations

import asyncio
import contextlib

from sagemaker_bidi_contract.checks import CONTAINER
from sagemaker_bidi_contract.container.opening import ACCEPT_SECONDS, PING_SECONDS
from sagemaker_bidi_contract.container.stage import ContainerStage
from sagemaker_bidi_contract.exchange import milliseconds
from sagemaker_bidi_contract.verdicts import Outcome, Unmet, failed, non_strict, ok
from sagemaker_bidi_contract.wire.opening import UpgradeAnswer
from sagemaker_bidi_contract.wire.received import End

NEEDS_BACKEND = ("fake-backend",)
_REFUSAL = "an HTTP status other than 101, so that the client gets a 424"
_BACKEND_DELAY = 0.05
_GIVE_UP_SECONDS = 8.0
_ATTEMPTS = 3
_LIMIT_SECONDS = _ATTEMPTS * _GIVE_UP_SECONDS + 5.0


@CONTAINER.check(
    "bridge.dead-backend",
    "With the model server dead the upgrade is refused",
    clauses=("O4", "O3"),
    requires=NEEDS_BACKEND,
    seconds=_LIMIT_SECONDS,
)
async def dead_backend(stage: ContainerStage) -> Outcome:
    async with stage.backend.dead():
        answer = await _refusal(stage)
        if answer.stream is not None:
            return failed(
                "with nothing listening at the backend the upgrade was accepted, and then: "
                f"{(await _end_of(answer)).how}",
                expected=_REFUSAL,
                defects=(1,),
            )
    return _refused_in_time(answer, "with nothing listening at the backend")


@CONTAINER.check(
    "bridge.accept-order",
    "SageMaker is accepted only after the model server has accepted",
    clauses=("O3", "O4"),
    requires=NEEDS_BACKEND,
)
async def accept_order(stage: ContainerStage) -> Outcome:
    stage.backend.behaviour.upgrade_delay = _BACKEND_DELAY
    answer = await stage.accepted()
    reached = stage.backend.accepted_at
    if reached is None or answer.at < reached:
        return failed(
            f"accepted after {milliseconds(answer.seconds)}, before the backend had accepted",
            expected="the backend first",
            defects=(1,),
        )
    return ok(f"accepted {milliseconds(answer.at - reached)} after the backend")


@CONTAINER.check(
    "bridge.silent-backend",
    "With a model server that never accepts the upgrade is refused",
    clauses=("O3", "O4"),
    requires=NEEDS_BACKEND,
    seconds=_LIMIT_SECONDS,
)
async def silent_backend(stage: ContainerStage) -> Outcome:
    stage.backend.behaviour.upgrade = None
    try:
        answer = await _refusal(stage)
    except Unmet as wrong:
        return non_strict(
            f"with a backend that never accepts: {wrong.summary}",
            expected="a refusal within 250 ms; SageMaker has given up by then",
            advice="give the connection to the model server a time limit of about 200 ms",
        )
    if answer.stream is not None:
        return failed(
            f"accepted after {milliseconds(answer.seconds)}, while the backend had not",
            expected=_REFUSAL,
            defects=(1,),
        )
    return _refused_in_time(answer, "with a backend that never accepts")


@CONTAINER.check(
    "bridge.refusing-backend",
    "With a model server that answers HTTP 403 the upgrade is refused",
    clauses=("O4",),
    requires=NEEDS_BACKEND,
    seconds=_LIMIT_SECONDS,
)
async def refusing_backend(stage: ContainerStage) -> Outcome:
    stage.backend.behaviour.upgrade = 403
    answer = await _refusal(stage)
    what = "with a backend that answers the upgrade with HTTP 403"
    if answer.stream is None:
        return _refused_in_time(answer, what)
    end = await _end_of(answer)
    # A bridge that had caught the refusal would say so; this end is that of its last resort.
    unhandled = end.code is None or end.code in (1000, 1005)
    return failed(
        f"{what} the upgrade was accepted, and then: {end.how}",
        expected=_REFUSAL,
        defects=(1, 3) if unhandled else (1,),
    )


@CONTAINER.check(
    "bridge.ping-page-dead-backend",
    "With the model server dead or sick GET /ping does not answer 200",
    clauses=("K4",),
    requires=NEEDS_BACKEND,
    basis=("session", "ping"),
)
async def ping_page_dead_backend(stage: ContainerStage) -> Outcome:
    expected = "HTTP 503: SageMaker would send sessions to a container that cannot serve them"
    async with stage.backend.dead():
        dead = await stage.get("/ping")
    if dead.status == 200:
        return failed(f"with a dead backend, GET /ping: {dead.how}", expected=expected)
    stage.backend.behaviour.health = 503
    sick = await stage.get("/ping")
    if sick.status == 200:
        return non_strict(
            f"with a backend whose health page answers 503, GET /ping: {sick.how}",
            expected=expected,
            advice="answer /ping from the model server's own health page",
        )
    return ok(f"dead: {dead.how}; sick: {sick.how}")


@CONTAINER.check(
    "bridge.ping-page-hanging-backend",
    "With a model server that hangs GET /ping still answers within 2 s",
    clauses=("K4",),
    requires=NEEDS_BACKEND,
    basis=("session", "ping"),
)
async def ping_page_hanging_backend(stage: ContainerStage) -> Outcome:
    stage.backend.behaviour.health = None
    page = await stage.get("/ping", within=7.0)
    summary = f"with a backend whose health page hangs, GET /ping: {page.how}"
    if page.status is None or page.seconds > PING_SECONDS:
        return failed(summary, expected="an answer within 2 s", defects=(6,))
    if page.status == 200:
        return non_strict(summary, expected="HTTP 503")
    return ok(summary)


@CONTAINER.check(
    "bridge.commands",
    "With the model server stopped the upgrade is refused and /ping is not 200",
    clauses=("O4", "K4", "E1"),
    requires=("backend-commands",),
    seconds=120,
    basis=("session", "ping"),
)
async def backend_commands(stage: ContainerStage) -> Outcome:
    async with stage.session() as session:
        await session.pong(b"before the backend stops", 5)
        await _shell(stage, stage.options.backend_down)
        try:
            answer = await stage.upgrade(within=_GIVE_UP_SECONDS)
            page = await stage.get("/ping")
            open_one: End | None = None
            with contextlib.suppress(Unmet):
                open_one, _ = await session.ended(10, "the end of the open session")
        finally:
            await _shell(stage, stage.options.backend_up)
    if answer.stream is not None:
        end = await _end_of(answer)
        return failed(
            f"with the model server stopped the upgrade was accepted, and then: {end.how}",
            expected=_REFUSAL,
            defects=(1,),
        )
    if page.status == 200:
        return failed(f"with the model server stopped, GET /ping: {page.how}", expected="HTTP 503")
    if open_one is not None and open_one.code in (1000, None):
        return failed(
            f"the session that was open when the model server stopped: {open_one.how}",
            expected="a Close frame with a code other than 1000",
            defects=(2,) if open_one.code == 1000 else (),
        )
    how = "still open after 10 s" if open_one is None else open_one.how
    return ok(f"upgrade: {answer.words}; /ping: {page.how}; the open session: {how}")


async def _refusal(stage: ContainerStage) -> UpgradeAnswer:
    """Ask for an upgrade that should be refused; one that is late is asked for again, twice.

    A machine that is busy for a moment makes one late, and a bridge that waits too long all three.
    """
    for _ in range(_ATTEMPTS - 1):
        answer = await stage.upgrade(within=_GIVE_UP_SECONDS)
        if answer.stream is not None or _in_time(answer):
            return answer
    return await stage.upgrade(within=_GIVE_UP_SECONDS)


def _in_time(answer: UpgradeAnswer) -> bool:
    return answer.status is not None and answer.seconds <= ACCEPT_SECONDS


def _refused_in_time(answer: UpgradeAnswer, what: str) -> Outcome:
    summary = f"{what}: {answer.words} after {milliseconds(answer.seconds)}"
    if not _in_time(answer):
        return non_strict(
            summary,
            expected="an HTTP status within 250 ms; the client gets its 424 either way",
        )
    return ok(summary)


async def _end_of(answer: UpgradeAnswer) -> End:
    assert answer.stream is not None
    try:
        end, _ = await answer.stream.ended(_GIVE_UP_SECONDS, "the end of the session")
    except Unmet:
        return End(0, "", f"nothing within {_GIVE_UP_SECONDS:g} s")
    return end


async def _shell(stage: ContainerStage, command: str) -> None:
    stage.log.add("backend", "note", f"$ {command}")
    process = await asyncio.create_subprocess_shell(
        command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    if process.returncode:
        raise Unmet(
            f"the command {command!r} ended with status {process.returncode}: "
            f"{errors.decode(errors='replace')[-200:].strip()}",
            "status 0",
        )
