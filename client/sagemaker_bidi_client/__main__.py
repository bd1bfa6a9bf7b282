"""Transcribe without `bidi`: `python -m sagemaker_bidi_client FILE --endpoint-name NAME`."""

import typer

from sagemaker_bidi_client.cli import register


def main() -> None:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    register(app)
    app(prog_name="python -m sagemaker_bidi_client")


if __name__ == "__main__":
    main()
