"""The command `bidi`."""

from __future__ import annotations

import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sagemaker_bidi.commands.group import Commands
from sagemaker_bidi.config import DEFAULT_PORT, Config, ConfigError, load_config
from sagemaker_bidi.containers.docker import DockerError
from sagemaker_bidi.containers.hosted import ImageRun
from sagemaker_bidi.containers.image import UnfitImage
from sagemaker_bidi.containers.image_run import read_environment
from sagemaker_bidi.emulator import PortTaken, client_environment
from sagemaker_bidi.faults.plan import Plan
from sagemaker_bidi.recordings.files import check_folder
from sagemaker_bidi.scenarios.written import METAVAR, SYNTAX
from sagemaker_bidi.serving.announce import log_to_stderr, print_environment
from sagemaker_bidi.serving.serve import run_here
from sagemaker_bidi.transport.identity import load_identity


class Models(StrEnum):
    """What listens in the demo."""

    STAND_IN = "stand-in"
    VLLM = "vllm"


USAGE = 2
INTERRUPTED = 130

app = typer.Typer(
    cls=Commands,
    help="Amazon SageMaker AI's bidirectional streaming on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line."""
    app()


@app.command()
def demo(
    audio: Annotated[
        Path | None,
        typer.Option("--audio", help="A recording of your own: WAV, FLAC, OGG, MP3, any rate."),
    ] = None,
    model: Annotated[
        Models, typer.Option("--model", help="The stand-in, or vLLM's real engine on the CPU.")
    ] = Models.STAND_IN,
    scenario: Annotated[
        str | None, typer.Option("--scenario", help="Show a failure: see bidi scenarios.")
    ] = None,
    port: Annotated[int, typer.Option("--port", help="The emulator's port; 0: a free one.")] = 0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the log.")] = False,
) -> None:
    """Speech to words on this machine: real SDK, emulator, bridge and a stand-in model."""
    if scenario is not None and model is Models.VLLM:
        _fail("--scenario is shown on the stand-in only; leave --model vllm out", USAGE)
    log_to_stderr(logging.INFO if verbose else logging.ERROR)
    from sagemaker_bidi.demo.command import DemoFailed, show_demo, show_scenario

    try:
        if scenario is not None:
            passed = show_scenario(scenario, audio, port=port)
        else:
            passed = show_demo(audio, real=model is Models.VLLM, port=port)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except DemoFailed as error:
        _fail(error, 1)
    if not passed:
        raise typer.Exit(1)


@app.command()
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
            "--model", exists=True, file_okay=False, help="Folder for the image's /opt/ml/model."
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
) -> None:
    """Run the emulator until Ctrl-C, SIGTERM or SIGHUP."""
    log_to_stderr(logging.DEBUG if verbose else logging.INFO)
    try:
        images = _images(image or [], model, env or [], gpus)
        settings = load_config(
            config,
            {
                key: value
                for key, value in {
                    "host": host,
                    "port": port,
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
            settings = _redacted(settings)
        applied, plans = _with_scenarios(settings)
    except (ConfigError, ValueError) as error:
        _fail(error, USAGE)
    if twice := sorted(settings.endpoints.keys() & {run.endpoint for run in images}):
        _fail(
            f"endpoint {twice[0]} is given by --image and as a URL; name the image's differently: "
            "--image NAME=IMAGE",
            USAGE,
        )
    if not settings.endpoints and not images:
        _fail("no endpoint is configured; give --endpoint NAME=ws://HOST:PORT", USAGE)
    if workers > 1 and (images or control_port is not None):
        _fail("--image and --control-port go with one worker", USAGE)
    try:
        if settings.record is not None:
            check_folder(settings.record.directory)
        if workers > 1:
            from sagemaker_bidi.serving.workers import run_workers

            status = run_workers(settings, workers)
        else:
            status = run_here(applied, plans=plans, images=images, control_port=control_port)
    except (DockerError, UnfitImage, PortTaken, OSError, ValueError) as error:
        _fail(error, 1)
    raise typer.Exit(status)


def _redacted(config: Config) -> Config:
    if config.record is None:
        raise ConfigError(
            "--redact: nothing is recorded; give --record FOLDER too, or [record] in the file of "
            "--config"
        )
    record = config.record.model_copy(update={"redact": True})
    return config.model_copy(update={"record": record})


def _with_scenarios(config: Config) -> tuple[Config, list[Plan]]:
    if not config.scenarios:
        return config, []
    from sagemaker_bidi.scenarios.apply import apply

    return apply(config, config.scenarios)


def _images(
    options: list[str], model: Path | None, environment: list[str], gpus: str | None
) -> list[ImageRun]:
    if not options:
        for given, name in ((model, "--model"), (environment, "--env"), (gpus, "--gpus")):
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


@app.command()
def trust(
    port: Annotated[int, typer.Option("--port", help="The emulator's port.")] = DEFAULT_PORT,
    host: Annotated[str, typer.Option("--host", help="The emulator's host.")] = "127.0.0.1",
    region: Annotated[str | None, typer.Option("--region", help="The emulator's region.")] = None,
) -> None:
    """Print the environment that a client needs: eval "$(bidi trust)"."""
    try:
        identity = load_identity()
    except (OSError, ValueError) as error:
        _fail(error, 1)
    print_environment(client_environment(f"https://{host}:{port}", identity.bundle, region))


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


def _fail(error: object, status: int) -> None:
    # An OSError's own text begins with its number.
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    typer.echo(f"error: {text}", err=True)
    raise typer.Exit(status) from None


if __name__ == "__main__":
    main()
