"""The command `bidi`."""

from __future__ import annotations

from typing import Annotated

import typer

from sagemaker_bidi.commands.group import Commands

app = typer.Typer(
    cls=Commands,
    help="Amazon SageMaker AI's bidirectional streaming on this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"sagemaker-bidi {version('sagemaker-bidi')}")
        raise typer.Exit


@app.callback()
def bidi(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Amazon SageMaker AI's bidirectional streaming on this machine."""


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
