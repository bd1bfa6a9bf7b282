"""Transcribe without `bidi`: `python -m sagemaker_bidi_client FILE --endpoint-name NAME`."""

import sys


def main() -> None:
    try:
        import typer

        from sagemaker_bidi_client.cli import register
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("sagemaker_bidi_client"):
            raise
        sys.exit(
            f"error: python -m sagemaker_bidi_client needs {error.name}, which is not installed: "
            "pip install 'sagemaker-bidi-client[cli]'"
        )
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    register(app)
    app(prog_name="python -m sagemaker_bidi_client")


if __name__ == "__main__":
    main()
