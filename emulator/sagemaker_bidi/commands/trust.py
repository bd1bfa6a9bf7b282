"""The command `bidi trust`."""

from __future__ import annotations

import os
from typing import Annotated, NoReturn

import typer

from sagemaker_bidi.commands.failing import USAGE, fail
from sagemaker_bidi.config import DEFAULT_PORT
from sagemaker_bidi.environment import DEFAULT_REGION, Environment, client_environment
from sagemaker_bidi.serving.shells import Format, rendered
from sagemaker_bidi.transport.identity import load_identity, sagemaker_hosts

# As shells have them.
NOT_RUNNABLE = 126
NOT_FOUND = 127
NOTES = {
    Format.ENV: "a file of this kind cannot clear anything: where it is read, AWS_SESSION_TOKEN, "
    "AWS_PROFILE and the like must not be set already",
    Format.DOCKER: "from a container the emulator is reached where it listens for others than this "
    "machine alone: bidi serve --host 0.0.0.0",
}


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("trust")(trust)


def trust(
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- COMMAND…]", help="Run it in that environment, and print nothing."
        ),
    ] = None,
    port: Annotated[int, typer.Option("--port", help="The emulator's port.")] = DEFAULT_PORT,
    host: Annotated[str, typer.Option("--host", help="The emulator's host.")] = "127.0.0.1",
    region: Annotated[str | None, typer.Option("--region", help="The emulator's region.")] = None,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="Who reads it; sh unless given. docker: docker run $(…)."),
    ] = None,
    hosts: Annotated[
        bool,
        typer.Option(
            "--hosts",
            help="Print the line of /etc/hosts for clients that name SageMaker's host themselves.",
        ),
    ] = False,
) -> None:
    """Print the environment that a client needs, or run a command in it.

    For a shell: eval "$(bidi trust)". For one command: bidi trust -- my-client speech.wav
    """
    if sum((bool(command), form is not None, hosts)) > 1:
        fail("a command, --format and --hosts: one of them at a time", USAGE)
    if hosts:
        address = "127.0.0.1" if host == "localhost" else host
        typer.echo(f"{address} {' '.join(sagemaker_hosts(region or DEFAULT_REGION))}")
        return
    try:
        identity = load_identity()
    except (OSError, ValueError) as error:
        fail(error)
    url = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    environment = client_environment(url, identity.ca, identity.bundle, region)
    if command:
        _become(command, environment)
    form = form or Format.SH
    try:
        typer.echo(rendered(environment, form))
    except ValueError as error:
        fail(error)
    if form in NOTES:
        typer.echo(f"note: {NOTES[form]}", err=True)


def _become(command: list[str], environment: Environment) -> NoReturn:
    """Run a command in this process's place, which hears its signals and has its exit status."""
    try:
        os.execvpe(command[0], command, environment.over(os.environ))
    except FileNotFoundError:
        fail(f"there is no command {command[0]!r}", NOT_FOUND)
    except OSError as error:
        fail(f"{command[0]} cannot be run: {error.strerror}", NOT_RUNNABLE)
