"""The command `bidi serve`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from sagemaker_bidi.commands.failing import USAGE, fail
from sagemaker_bidi.config import DEFAULT_PORT, Config, ConfigError, load_config
from sagemaker_bidi.containers.docker import DockerError
from sagemaker_bidi.containers.hosted import ImageRun
from sagemaker_bidi.containers.image import UnfitImage
from sagemaker_bidi.containers.image_run import read_environment
from sagemaker_bidi.emulator import PortTaken
from sagemaker_bidi.faults.plan import Plan
from sagemaker_bidi.recordings.files import check_folder
from sagemaker_bidi.scenarios.written import METAVAR, SYNTAX
from sagemaker_bidi.serving.announce import log_to_stderr
from sagemaker_bidi.serving.serve import run_here


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("serve")(serve)


def serve(
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--endpoint",
            metavar="NAME=ws://HOST:PORT",
            help="An endpoint and its container; may be given again.",
        ),
    ] = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", help=f"Port to listen on; {DEFAULT_PORT} unless given.")
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            metavar="HOST",
            help="A further host name or address for the certificate, such as a Compose service's; "
            "may be given again.",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="A TOML file.")] = None,
    region: Annotated[
        str | None, typer.Option("--region", help="The only region that signatures may name.")
    ] = None,
    unknown_keys: Annotated[
        str | None,
        typer.Option("--unknown-keys", help="accept or refuse requests signed with unknown keys."),
    ] = None,
    time_scale: Annotated[
        float | None,
        typer.Option("--time-scale", help="Emulated seconds for one real second."),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            "--scenario",
            metavar=METAVAR,
            help="A failure of bidi scenarios, or a plan of your own; may be given again. "
            + SYNTAX,
        ),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            "--image",
            metavar="[NAME=]IMAGE",
            help="Run an image as SageMaker does, as the endpoint NAME (voxtral).",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model-folder",
            exists=True,
            file_okay=False,
            help="Folder for the image's /opt/ml/model.",
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="NAME=VALUE", help="Of the image; may be given again."),
    ] = None,
    gpus: Annotated[
        str | None, typer.Option("--gpus", help="For the image, as docker run has it: all.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option("--record", help="Write each session to a file in this folder.")
    ] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="Leave payloads out of what is recorded.")
    ] = False,
    keep: Annotated[
        float | None,
        typer.Option("--keep", metavar="DAYS", help="Remove recordings that are older."),
    ] = None,
    control_port: Annotated[
        int | None,
        typer.Option(
            "--control-port",
            min=0,
            max=65535,
            help="Serve the control API there, for bidi faults; 0: a free one.",
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            min=1,
            help="Processes that share the port; each counts by itself what fault plans count.",
        ),
    ] = 1,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the details.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print warnings and errors alone.")
    ] = False,
) -> None:
    """Run the emulator until Ctrl-C, SIGTERM or SIGHUP."""
    log_to_stderr(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    try:
        images = _images(image or [], model, env or [], gpus)
        settings = load_config(
            config,
            {
                key: value
                for key, value in {
                    "host": host,
                    "port": port,
                    "names": name,
                    "region": region,
                    "unknown_keys": unknown_keys,
                    "time_scale": time_scale,
                    "scenarios": scenario,
                    "record": {"directory": record} if record else None,
                    "endpoints": _endpoints(endpoint or []),
                }.items()
                if value is not None
            },
        )
        if redact:
            settings = _recording(settings, "--redact", redact=True)
        if keep is not None:
            settings = _recording(settings, "--keep", keep_days=keep)
        applied, plans = _with_scenarios(settings)
    except (ConfigError, ValueError) as error:
        fail(error, USAGE)
    if twice := sorted(settings.endpoints.keys() & {run.endpoint for run in images}):
        fail(
            f"endpoint {twice[0]} is given by --image and as a URL; name the image's differently: "
            "--image NAME=IMAGE",
            USAGE,
        )
    if not settings.endpoints and not images:
        fail("no endpoint is configured; give --endpoint NAME=ws://HOST:PORT", USAGE)
    if workers > 1 and (images or control_port is not None):
        fail("--image and --control-port go with one worker", USAGE)
    try:
        if settings.record is not None:
            check_folder(settings.record.directory)
        if workers > 1:
            from sagemaker_bidi.serving.workers import run_workers

            status = run_workers(settings, workers, quiet=quiet)
        else:
            status = run_here(
                applied, plans=plans, images=images, control_port=control_port, quiet=quiet
            )
    except (DockerError, UnfitImage, PortTaken, OSError, ValueError) as error:
        fail(error)
    raise typer.Exit(status)


def _recording(config: Config, option: str, **changed: object) -> Config:
    if config.record is None:
        raise ConfigError(
            f"{option}: nothing is recorded; give --record FOLDER too, or [record] in the file of "
            "--config"
        )
    record = config.record.model_dump() | changed
    return load_config(overrides=config.model_dump(exclude_defaults=True) | {"record": record})


def _with_scenarios(config: Config) -> tuple[Config, list[Plan]]:
    if not config.scenarios:
        return config, []
    from sagemaker_bidi.scenarios.apply import apply

    return apply(config, config.scenarios)


def _images(
    options: list[str], model: Path | None, environment: list[str], gpus: str | None
) -> list[ImageRun]:
    if not options:
        for given, name in ((model, "--model-folder"), (environment, "--env"), (gpus, "--gpus")):
            if given:
                raise ValueError(f"{name} is for an image: give --image [NAME=]IMAGE too")
    variables = read_environment(environment)
    images: dict[str, ImageRun] = {}
    for option in options:
        # An image's own name may hold no "=".
        name, equals, image = option.rpartition("=")
        if not image:
            raise ValueError(f"--image {option}: write it as [NAME=]IMAGE")
        endpoint = name if equals else "voxtral"
        if endpoint in images:
            raise ValueError(
                f"--image {option}: the name {endpoint} is given twice; write it as NAME=IMAGE"
            )
        try:
            images[endpoint] = ImageRun(
                image, endpoint=endpoint, model=model, environment=variables, gpus=gpus
            )
        except ValueError as error:
            raise ValueError(f"--image {option}: {error}") from error
    return list(images.values())


def _endpoints(options: list[str]) -> dict[str, dict[str, str]]:
    endpoints: dict[str, dict[str, str]] = {}
    for option in options:
        name, equals, url = option.partition("=")
        if not equals or not name or not url:
            raise ValueError(f"--endpoint {option}: write it as NAME=ws://HOST:PORT")
        if name in endpoints:
            raise ValueError(f"--endpoint {option}: the name {name} is given twice")
        endpoints[name] = {"url": url}
    return endpoints
