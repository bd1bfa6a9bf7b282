"""The checks of an image (O1, O2, K4)."""

from __future__ import annotations

from sagemaker_bidi.containers.docker import DockerError
from sagemaker_bidi.containers.hosted import STOP_SECONDS, ContainerFailed
from sagemaker_bidi.containers.image import CONTAINER_PORT, LABEL, UnfitImage
from sagemaker_bidi_contract.checks import IMAGE
from sagemaker_bidi_contract.exchange import milliseconds
from sagemaker_bidi_contract.image.stage import ImageStage
from sagemaker_bidi_contract.verdicts import Outcome, failed, informational, non_strict, ok

_STARTUP_SECONDS = 480.0
_READ_ONLY = "Read-only file system"


@IMAGE.check("image.label", "the image carries the bidirectional label", clauses=("O1",))
async def label(stage: ImageStage) -> Outcome:
    try:
        stage.image.check()
    except UnfitImage:
        found = stage.image.labels.get(LABEL)
        return failed(
            "the label is missing" if found is None else f"the label is {found!r}",
            expected=f"{LABEL}=true; without it SageMaker opens no WebSocket",
            advice=f"add `LABEL {LABEL}=true` to the Dockerfile",
        )
    return ok(f"{LABEL}=true")


@IMAGE.check("image.exec-form", "the entrypoint is in exec form, and gets `serve`", clauses=("K4",))
async def exec_form(stage: ImageStage) -> Outcome:
    image = stage.image
    program = " ".join(image.entrypoint)
    if image.shell_form:
        return failed(
            f"the entrypoint is in shell form, and the argument `serve` is lost: {program}",
            expected='an entrypoint in exec form, such as ["python3", "serve.py"]',
            advice="write ENTRYPOINT as a JSON list",
        )
    if not image.entrypoint:
        return non_strict(
            "there is no entrypoint: SageMaker runs `serve` as a program of the image",
            expected="an entrypoint that takes the argument `serve`",
            advice="add an ENTRYPOINT, or a program named serve on PATH",
        )
    return ok(f"exec form: {program}")


@IMAGE.check("image.root", "the image runs as root", clauses=("K4",))
async def root(stage: ImageStage) -> Outcome:
    if stage.image.as_root:
        return ok("it runs as root")
    return non_strict(
        f"it runs as {stage.image.user}",
        expected="root, which may read what SageMaker puts into /opt/ml",
        advice="leave USER out, or make sure that this user may read /opt/ml/model",
    )


@IMAGE.check("image.port", "the image declares port 8080", clauses=("O2",))
async def port(stage: ImageStage) -> Outcome:
    if CONTAINER_PORT in stage.image.ports:
        return ok(f"EXPOSE {CONTAINER_PORT}")
    declared = ", ".join(map(str, sorted(stage.image.ports))) or "none"
    return informational(
        f"ports declared: {declared}; SageMaker connects to {CONTAINER_PORT} all the same"
    )


@IMAGE.check(
    "image.starts",
    "`docker run IMAGE serve` gets healthy within 8 minutes",
    clauses=("K4",),
    seconds=_STARTUP_SECONDS + 60,
)
async def starts(stage: ImageStage) -> Outcome:
    try:
        seconds = await stage.start()
    except UnfitImage:
        return failed(
            "it was not started: without the label SageMaker does not either",
            expected="a container whose /ping answers 200",
        )
    except DockerError as error:
        return failed(str(error), expected="a container that starts")
    except ContainerFailed as error:
        for line in error.log:
            stage.log.add("log", "note", line)
        return failed(
            error.what,
            expected=f"200 from GET /ping within {stage.startup:g} s",
            advice="the end of its log, below, says why" if error.log else "it logged nothing",
        )
    return ok(f"/ping answered 200 {seconds:.1f} s after the start")


@IMAGE.check(
    "image.model-read-only",
    "the container works with a model folder that is read-only",
    clauses=("K4",),
    requires=("running",),
    seconds=_STARTUP_SECONDS + 60,
)
async def model_read_only(stage: ImageStage) -> Outcome:
    if stage.run.model is None:
        return informational("no model folder was given, so none was mounted")
    if any(_READ_ONLY in line for line in stage.lines):
        return non_strict(
            f"its log says {_READ_ONLY!r}",
            expected="no writing into /opt/ml/model, which SageMaker mounts read-only",
            advice="let caches go to /tmp",
        )
    return ok("healthy with /opt/ml/model mounted read-only")


@IMAGE.check(
    "image.sigterm",
    "SIGTERM ends the container within 30 s",
    clauses=("K4",),
    requires=("running",),
    seconds=_STARTUP_SECONDS + STOP_SECONDS + 30,
    ends_target=True,
)
async def sigterm(stage: ImageStage) -> Outcome:
    assert stage.container is not None
    stage.awaited = "the container's exit"
    stage.log.add("container", "sent", "SIGTERM")
    stopped = await stage.container.stop()
    if stopped is None:
        return failed("the container had ended before", expected="a container that runs")
    if stopped.killed:
        return failed(
            f"it still ran {STOP_SECONDS:g} s after SIGTERM and was killed",
            expected="an exit within 30 s",
            advice="is process 1 a shell, or a program without a handler for SIGTERM? Process 1 "
            "gets no signal that it has not asked for; a start script ends with `exec`",
        )
    return ok(f"exit code {stopped.code}, {milliseconds(stopped.seconds)} after SIGTERM")
