"""A run of all checks of an image: of itself, and of a container of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from sagemaker_bidi.containers.hosted import ImageRun
from sagemaker_bidi_contract.checks import CONTAINER, IMAGE, Check, Registry
from sagemaker_bidi_contract.container.stage import ContainerStage
from sagemaker_bidi_contract.image.stage import ImageStage
from sagemaker_bidi_contract.options import ContainerTarget, Options
from sagemaker_bidi_contract.replay.checks import recording_checks, require_one
from sagemaker_bidi_contract.runner import Runner, Stopwatch
from sagemaker_bidi_contract.verdicts import Finding, Report

_ADDRESS = re.compile(r"(localhost|[\d.]+|\[[\da-fA-F:.]+\]):\d+/?")


def is_image(target: str) -> bool:
    """Whether a target is an image's name.

    It is no URL, no port that lost its address, and no address of this machine or of a number that
    lost its scheme; `app:8080` may be an image with a tag.
    """
    return "://" not in target and not target.isdigit() and not _ADDRESS.fullmatch(target)


def image_checks(options: Options | None = None) -> tuple[Check, ...]:
    """The checks that the options select: of the image, then of a container of it.

    Raises:
        SelectionError: a clause or id that neither has.
        TargetError: recordings that cannot be used.
    """
    chosen = options or Options()
    beside = recording_checks(chosen)
    if not chosen.clauses and not chosen.checks:
        found = IMAGE.all() + CONTAINER.select(beside=beside)
    else:
        own = [known for known in chosen.checks if known.partition(".")[0] == IMAGE.kind]
        others = [known for known in chosen.checks if known not in own]
        found = _of(IMAGE, chosen.clauses, own) + _of(CONTAINER, chosen.clauses, others, beside)
        if not found:
            CONTAINER.select(chosen.clauses)  # says which clauses there are
    require_one(found, beside)
    return tuple(sorted(found, key=lambda check: check.ends_target))


def _of(
    registry: Registry,
    clauses: Iterable[str],
    ids: Iterable[str],
    beside: tuple[Check, ...] = (),
) -> tuple[Check, ...]:
    held = {clause for check in (*registry.all(), *beside) for clause in check.clauses}
    known, ids = [clause for clause in clauses if clause in held], list(ids)
    return registry.select(known, ids, beside) if known or ids else ()


async def run_image_checks(
    run: ImageRun,
    options: Options | None = None,
    on_finding: Callable[[Finding], None] = lambda finding: None,
    *,
    startup: float = 480.0,
) -> Report:
    """Hold an image, and a container of it, to the contract.

    Args:
        run: the image, and how it is run.
        options: what is allowed, and which checks.
        on_finding: is told of each finding as it comes.
        startup: seconds that the container has to get healthy.

    Raises:
        SelectionError: an unknown clause or id.
        TargetError: no Docker, or no such image.
    """
    chosen = options or Options()
    selected = image_checks(options)
    own = [check for check in selected if check.id.startswith("image.")]
    # SIGTERM is sent once, and the image's check knows the exit code.
    of_container = [check for check in selected if check not in own and not check.ends_target]
    watch = Stopwatch()
    findings: list[Finding] = []
    async with ImageStage(run, startup) as stage:
        runner = Runner(stage, chosen.timeout, on_finding)
        findings += await runner.run([check for check in own if not check.ends_target])
        if of_container and await stage.missing("running") is None and stage.container is not None:
            target = ContainerTarget.parse(stage.container.url)
            async with ContainerStage(target, replace(chosen, pid=None)) as container:
                findings += await Runner(container, chosen.timeout, on_finding).run(of_container)
        findings += await runner.run([check for check in own if check.ends_target])
    return watch.report(run.image, run.image, chosen, findings)
