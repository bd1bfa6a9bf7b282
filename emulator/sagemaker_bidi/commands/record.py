"""The command `bidi record`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sagemaker_bidi.commands.failing import USAGE, fail
from sagemaker_bidi.commands.provenance import PROVENANCE
from sagemaker_bidi.commands.provenance import provenance as read_provenance
from sagemaker_bidi.config import DEFAULT_PORT, ConfigError, load_config
from sagemaker_bidi.emulator import PortTaken
from sagemaker_bidi.recordings.files import check_folder
from sagemaker_bidi.serving.announce import log_to_stderr
from sagemaker_bidi.serving.serve import run_here


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("record")(record)


def record(
    endpoint: Annotated[
        list[str],
        typer.Option(
            "--endpoint",
            metavar="NAME=ADDRESS",
            help="What to stand in front of: a container, ws://HOST:PORT, or an endpoint, "
            "https://HOST:8443/ENDPOINT-NAME; may be given again.",
        ),
    ],
    directory: Annotated[Path, typer.Option("--to", help="The folder for the recordings.")],
    redact: Annotated[
        bool, typer.Option("--redact", help="Leave payloads out; keep sizes and types.")
    ] = False,
    keep: Annotated[
        float | None,
        typer.Option("--keep", metavar="DAYS", help="Remove recordings that are older."),
    ] = None,
    provenance: Annotated[str, PROVENANCE] = "unknown",
    container: Annotated[str, typer.Option("--container", help="What the container is.")] = "",
    vllm: Annotated[str, typer.Option("--vllm", help="vLLM's version.")] = "",
    hardware: Annotated[str, typer.Option("--hardware", help="What it runs on.")] = "",
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on.")] = DEFAULT_PORT,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the details.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print warnings and errors alone.")
    ] = False,
) -> None:
    """Record every session that goes through, until Ctrl-C or SIGTERM.

    In front of an endpoint, requests are signed anew with the credentials that the AWS SDK finds.
    """
    log_to_stderr(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    settings = {
        "directory": directory,
        "redact": redact,
        "keep_days": keep,
        "provenance": read_provenance(provenance),
        "container": container,
        "vllm": vllm,
        "hardware": hardware,
    }
    try:
        config = load_config(
            overrides={
                "host": host,
                "port": port,
                "endpoints": _endpoints(endpoint),
                "record": settings,
            }
        )
        check_folder(directory)
        status = run_here(config, quiet=quiet)
    except (ConfigError, ValueError) as error:
        fail(error, USAGE)
    except (PortTaken, OSError) as error:
        fail(error)
    raise typer.Exit(status)


def _endpoints(options: Sequence[str]) -> dict[str, dict[str, Any]]:
    endpoints: dict[str, dict[str, Any]] = {}
    for option in options:
        name, _, url = option.partition("=")
        if not name or not url or name in endpoints:
            raise ValueError(f"--endpoint {option}: write it as NAME=ADDRESS, each name once")
        endpoints[name] = {"url": url}
    return endpoints
