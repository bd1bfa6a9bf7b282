"""The command `bidi trust`."""

from __future__ import annotations

from typing import Annotated

import typer

from sagemaker_bidi.commands.failing import fail
from sagemaker_bidi.config import DEFAULT_PORT
from sagemaker_bidi.environment import client_environment
from sagemaker_bidi.serving.announce import print_environment
from sagemaker_bidi.transport.identity import load_identity


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("trust")(trust)


def trust(
    port: Annotated[int, typer.Option("--port", help="The emulator's port.")] = DEFAULT_PORT,
    host: Annotated[str, typer.Option("--host", help="The emulator's host.")] = "127.0.0.1",
    region: Annotated[str | None, typer.Option("--region", help="The emulator's region.")] = None,
) -> None:
    """Print the environment that a client needs: eval "$(bidi trust)"."""
    try:
        identity = load_identity()
    except (OSError, ValueError) as error:
        fail(error)
    url = f"https://{host}:{port}"
    print_environment(client_environment(url, identity.ca, identity.bundle, region))
