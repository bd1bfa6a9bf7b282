"""`bidi faults`: the fault plans of an emulator that runs."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import typer

from sagemaker_bidi.commands.failing import USAGE, fail
from sagemaker_bidi.faults.plan import Plan, PlanError, load_plan, plan_table
from sagemaker_bidi.scenarios.written import METAVAR, SYNTAX, is_file, written

DEFAULT_CONTROL = "8444"
SECONDS = 10.0

Control = Annotated[
    str,
    typer.Option(
        "--control-port",
        metavar="PORT",
        envvar="BIDI_CONTROL_PORT",
        help="That of bidi serve; http://HOST:PORT where it is not on this machine.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add `faults` with `list`, `add` and `remove` to a command line."""
    faults = typer.Typer(
        help="Fault plans of an emulator that runs with --control-port.", no_args_is_help=True
    )
    faults.command("list")(list_)
    faults.command()(add)
    faults.command()(remove)
    app.add_typer(faults, name="faults")


def list_(control: Control = DEFAULT_CONTROL) -> None:
    """List the plans in force."""
    plans = ask(control, "GET", "/plans")["plans"]
    if not plans:
        typer.echo("no plan is in force")
    for plan in plans:
        typer.echo(f"{plan['name']} (seed {plan['seed']})")
        for rule in plan["rules"]:
            typer.echo(f"  {_told(rule)}")


def add(
    plan: Annotated[
        str,
        typer.Argument(
            metavar=METAVAR, help=f"See bidi scenarios; or a plan's TOML file. {SYNTAX}"
        ),
    ],
    control: Control = DEFAULT_CONTROL,
) -> None:
    """Put a plan into force."""
    try:
        read = _read(plan)
    except ValueError as error:
        fail(error, USAGE)
    ask(control, "POST", "/plans", plan_table(read))
    typer.echo(f"{read.name} is in force; end it with: bidi faults remove {read.name}")


def remove(
    name: Annotated[str, typer.Argument(help="The plan's name.")],
    control: Control = DEFAULT_CONTROL,
) -> None:
    """Take a plan out of force; what it holds goes on, and no byte is lost."""
    ask(control, "DELETE", f"/plans/{urllib.parse.quote(name, safe='')}")
    typer.echo(f"{name} is no longer in force")


def _read(plan: str) -> Plan:
    if is_file(plan):
        return load_plan(Path(plan))
    chosen = written(plan)
    if chosen.at_start:
        raise PlanError(
            f"scenario {chosen.name} changes the configuration, so it cannot come to a running "
            f"emulator; start one with it: {chosen.command}"
        )
    return chosen.plan()


def _told(rule: dict[str, Any]) -> str:
    fields = {key: value for key, value in rule.items() if key not in ("do", "when")}
    when = rule.get("when", {})
    told = " ".join([rule["do"], *(f"{key}={value}" for key, value in fields.items())])
    where = when.get("point", "to-client")
    others = [f"{key}={value}" for key, value in when.items() if key != "point"]
    return " ".join([told, "at", where, *others])


def ask(control: str, method: str, path: str, body: object = None) -> Any:
    """What an emulator's control API answers; ends the process where it answers nothing of use."""
    address = _address(control)
    request = urllib.request.Request(
        address + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json", "authorization": f"Bearer {_token(address)}"},
    )
    # The emulator is on this machine: a proxy has no business between.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=SECONDS) as response:
            text = response.read()
    except urllib.error.HTTPError as error:
        with error:
            fail(_said(error))
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        fail(f"{address} does not answer ({reason}); start bidi serve with --control-port 8444")
    try:
        return json.loads(text) if text else None
    except ValueError:
        fail(f"{address} answered without JSON; is it an emulator's control port?")


def _token(address: str) -> str:
    if given := os.environ.get("BIDI_CONTROL_TOKEN"):
        return given
    from sagemaker_bidi.inspector.token import token_file

    try:
        return token_file(urllib.parse.urlsplit(address).port or 80).read_text("utf-8")
    except OSError:
        # The emulator, if there is one, says where it keeps the token.
        return ""


def _address(control: str) -> str:
    if control.isascii() and control.isdecimal():
        control = f"http://127.0.0.1:{control}"
    try:
        parts = urllib.parse.urlsplit(control)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        fail(
            f"--control-port {control!r} (BIDI_CONTROL_PORT): write it as {DEFAULT_CONTROL}, or as "
            f"http://HOST:{DEFAULT_CONTROL}",
            USAGE,
        )
    return control.rstrip("/")


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"{error.url} answered {error.code}; is it an emulator's control port?"
