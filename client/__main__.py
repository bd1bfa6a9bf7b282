"""`python -m client FILE --endpoint-name NAME`: transcribe without the emulator's command."""

import typer

from client.cli import register


def main() -> None:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    register(app)
    app(prog_name="python -m client")


if __name__ == "__main__":
    main()
