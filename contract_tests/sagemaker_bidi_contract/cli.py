"""The command `bidi check`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.console import Console

from sagemaker_bidi.containers.image_run import read_environment
from sagemaker_bidi_contract.checks import SelectionError
from sagemaker_bidi_contract.options import (
    BEHIND,
    BackendAddress,
    Behind,
    Compare,
    ModelProtocol,
    Options,
    TargetError,
)
from sagemaker_bidi_contract.report.files import require_writable, write
from sagemaker_bidi_contract.report.terminal import show_checks, show_finding, show_report
from sagemaker_bidi_contract.targets import checks_for, run_checks

USAGE = 2
INTERRUPTED = 130

_CLAUSE = typer.Option("--clause", metavar="ID", help="Only checks of this clause; again for more.")
_CHECK = typer.Option("--check", metavar="ID", help="Only this check; again for more.")
_FAKE = typer.Option(
    "--fake-backend",
    metavar="[HOST:]PORT",
    help="Stand in for the container's model server here, and try its bad days.",
)
_RECORDINGS = typer.Option(
    "--recordings",
    metavar="PATH",
    help="Play these recordings to it as well, a file or a folder; again for more.",
)
_VARIANT = typer.Option(
    "--variant", metavar="NAME=WEIGHT", help="A variant of the endpoint; again for each of them."
)
_ENV = typer.Option(
    "--env", metavar="NAME=VALUE", help="Of an image: its container's; again for more."
)
_IGNORE = typer.Option(
    "--ignore", metavar="NAME", help="Of recordings: a JSON member to leave out as well."
)


def register(app: typer.Typer) -> None:
    """Add the command `check` to a command line."""
    app.command("check")(check)


def check(
    target: Annotated[
        str,
        typer.Argument(
            help="A container: ws://HOST:PORT; or an endpoint, the emulator's or SageMaker's own: "
            "https://HOST:8443; or the name of an image. With --list it may be left out."
        ),
    ] = "",
    html: Annotated[Path | None, typer.Option("--html", help="Write a page for people.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write JSON.")] = None,
    endpoint_name: Annotated[
        str, typer.Option("--endpoint-name", help="Of an endpoint: which one to invoke.")
    ] = "",
    region: Annotated[
        str | None, typer.Option("--region", help="Its region; else AWS_REGION or the profile.")
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option("--ca", help="Certificates to trust in place of the system's."),
    ] = None,
    behind_it: Annotated[
        str,
        typer.Option("--behind", metavar="KIND", help=f"Its container: {', '.join(BEHIND)}."),
    ] = "unknown",
    allow_cost: Annotated[
        bool, typer.Option("--allow-cost", help="Also what loads the endpoint or costs money.")
    ] = False,
    time_scale: Annotated[
        float | None,
        typer.Option("--time-scale", min=0.001, help="How fast an emulator's clock runs."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="NON-STRICT is a failure.")] = False,
    list_checks: Annotated[bool, typer.Option("--list", help="Show the checks, run none.")] = False,
    clause: Annotated[list[str] | None, _CLAUSE] = None,
    check_id: Annotated[list[str] | None, _CHECK] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Limit of one check, seconds.")
    ] = Options().timeout,
    slow: Annotated[bool, typer.Option("--slow", help="Also what takes minutes.")] = False,
    path: Annotated[str, typer.Option("--path", help="The data path.")] = Options().path,
    message: Annotated[
        str, typer.Option("--message", help="A text message that the container takes.")
    ] = Options().message,
    pid: Annotated[
        int | None,
        typer.Option("--pid", help="The container's process: check SIGTERM, which ends it."),
    ] = None,
    model_protocol: Annotated[
        str, typer.Option("--model-protocol", help="What it speaks: vllm-realtime, or none.")
    ] = "none",
    model: Annotated[str, typer.Option("--model", help="The served model's name.")] = "",
    audio: Annotated[
        Path | None, typer.Option("--audio", help="A recording for the realtime checks.")
    ] = None,
    fake_backend: Annotated[str | None, _FAKE] = None,
    backend_down_cmd: Annotated[
        str, typer.Option("--backend-down-cmd", help="Shell command: stop the model server.")
    ] = "",
    backend_up_cmd: Annotated[
        str, typer.Option("--backend-up-cmd", help="Shell command: start it again.")
    ] = "",
    model_folder: Annotated[
        Path | None,
        typer.Option("--model-folder", help="Of an image: folder for its /opt/ml/model."),
    ] = None,
    env: Annotated[list[str] | None, _ENV] = None,
    gpus: Annotated[
        str | None, typer.Option("--gpus", help="Of an image, as docker run has it: all.")
    ] = None,
    variant: Annotated[list[str] | None, _VARIANT] = None,
    recordings: Annotated[list[Path] | None, _RECORDINGS] = None,
    container: Annotated[
        str,
        typer.Option(
            "--container",
            metavar="TEXT",
            help="What the target is, as recordings have it: only those of it are played, of the "
            "bundled ones where no others are given.",
        ),
    ] = "",
    compare_by: Annotated[
        str, typer.Option("--compare", help="Of recordings: exact, json or text.")
    ] = Options().compare,
    ignore: Annotated[list[str] | None, _IGNORE] = None,
    speed: Annotated[
        float,
        typer.Option("--speed", min=0.0, help="Times as fast as recorded; 0: as fast as it goes."),
    ] = Options().speed,
) -> None:
    """Hold a container or an endpoint to SageMaker's contract, and report clause by clause.

    Exit status: 0 when a check was made and none failed, 1 otherwise, 2 for a wrong command line.
    """
    console = Console()
    try:
        options = Options(
            strict=strict,
            clauses=tuple(clause or ()),
            checks=tuple(check_id or ()),
            timeout=timeout,
            slow=slow,
            path=f"/{path.removeprefix('/')}",
            message=message,
            pid=pid,
            model_protocol=protocol(model_protocol),
            model=model,
            audio=audio,
            fake_backend=None if fake_backend is None else BackendAddress.parse(fake_backend),
            backend_down=backend_down_cmd,
            backend_up=backend_up_cmd,
            endpoint_name=endpoint_name,
            region=region,
            ca=ca,
            behind=behind(behind_it),
            allow_cost=allow_cost,
            time_scale=time_scale,
            model_folder=model_folder,
            environment=_environment(env or ()),
            gpus=gpus,
            variants=variants(variant or ()),
            recordings=tuple(recordings or ()),
            container=container,
            compare=compare(compare_by),
            ignore=tuple(ignore or ()),
            speed=speed,
        )
        if list_checks:
            show_checks(console, checks_for(target, options))
            return
        if not target:
            raise TargetError("give a target, such as ws://127.0.0.1:8080, or --list")
        reports = {"html": html, "junit": junit, "json": json}
        require_writable(reports)
        report = asyncio.run(
            run_checks(target, options, lambda finding: show_finding(console, finding))
        )
        show_report(console, report)
        for written in write(report, reports):
            console.print(f"written: {written}", highlight=False, markup=False)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except (TargetError, SelectionError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(USAGE) from None
    except OSError as error:
        typer.echo(f"error: {error.filename or ''}: {error.strerror or error}", err=True)
        raise typer.Exit(USAGE) from None
    raise typer.Exit(report.exit_status)


def protocol(name: str) -> ModelProtocol:
    """Read `--model-protocol`.

    Raises:
        TargetError: not one of those there are.
    """
    return cast(ModelProtocol, _one_of("--model-protocol", name, get_args(ModelProtocol.__value__)))


def behind(kind: str) -> Behind:
    """Read `--behind`.

    Raises:
        TargetError: not one of those there are.
    """
    return cast(Behind, _one_of("--behind", kind, (*BEHIND, Options().behind)))


def compare(mode: str) -> Compare:
    """Read `--compare`.

    Raises:
        TargetError: not one of those there are.
    """
    return cast(Compare, _one_of("--compare", mode, get_args(Compare.__value__)))


def _one_of(option: str, given: str, known: tuple[str, ...]) -> str:
    if given not in known:
        raise TargetError(f"{option} {given}: it is one of {', '.join(known)}")
    return given


def _environment(given: Iterable[str]) -> dict[str, str]:
    try:
        return read_environment(given)
    except ValueError as error:
        raise TargetError(str(error)) from error


def variants(given: Iterable[str]) -> dict[str, float]:
    """Read `--variant`.

    Raises:
        TargetError: not NAME=WEIGHT, a name twice, or weights of which none is over 0.
    """
    found: dict[str, float] = {}
    for text in given:
        name, _, written = text.partition("=")
        try:
            weight = float(written)
        except ValueError:
            weight = math.nan
        if not name or name in found or not 0 <= weight < math.inf:
            raise TargetError(f"--variant {text}: write NAME=WEIGHT, each name once")
        found[name] = weight
    if found and not any(found.values()):
        raise TargetError("--variant: every weight is 0, so no variant could be invoked")
    return found
