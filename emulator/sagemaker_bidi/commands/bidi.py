"""The command `bidi`."""

from __future__ import annotations

import typer

from sagemaker_bidi.commands.group import Commands

app = typer.Typer(
    cls=Commands,
    help="Amazon SageMaker AI's bidirectional streaming on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def bidi() -> None:
    """Amazon SageMaker AI's bidirectional streaming on this machine."""


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
