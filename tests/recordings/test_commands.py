"""`bidi record`, `bidi replay` and `bidi har`; the commands of docs/recordings.md are run here."""

from __future__ import annotations

import asyncio
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.commands.bidi import app
from sagemaker_bidi.config import load_config
from sagemaker_bidi.recordings.files import read_recording
from sagemaker_bidi.recordings.format import PartEvent
from sagemaker_bidi.replay.play import play
from sagemaker_bidi.replay.side import Pace
from sagemaker_bidi.replay.targets import Target
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from tests.recordings.conftest import Trust
from tests.recordings.made import ended, part, written
from tests.recordings.make_sessions import SESSIONS, bridged

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "recordings.md"
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    for line in block.splitlines()
]
FAST = ("--speed", "0", "--timeout", "5")


async def run(*arguments: object) -> Result:
    """Run a command; on a thread, because it has an event loop of its own."""
    given = [str(each) for each in arguments]
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, given))


@pytest.fixture
async def places(trust: Trust) -> AsyncIterator[dict[str, str]]:
    """What stands where the page's addresses point to."""
    config = Config(port=0, contract={"accept_seconds": 10.0})
    async with bridged() as bridge, Emulator({"voxtral": bridge}, config=config) as emulator:
        trust(emulator)
        yield {"ws://127.0.0.1:8080": bridge, "https://127.0.0.1:8443": emulator.url}


def documented(prefix: str) -> list[str]:
    found = [command for command in COMMANDS if command.startswith(prefix)]
    assert found, f"{PAGE} has no command that begins with {prefix!r}"
    return found


def test_every_command_of_the_page_is_run_by_a_test() -> None:
    known = ("bidi record ", "bidi replay ", "bidi har export ", "bidi har import ")

    assert COMMANDS
    assert [command for command in COMMANDS if not command.startswith(known)] == []


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if c.startswith("bidi replay") and "--to" in c]
)
async def test_the_page_s_replays_find_everything_alike(
    command: str, places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for written_there, real in places.items():
        command = command.replace(written_there, real)
    result = await run(*shlex.split(command)[1:])

    assert result.exit_code == 0, result.output
    assert result.output.startswith("ok ")


async def test_the_page_s_container_plays_to_a_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    (command,) = documented(
        "bidi replay fixtures/sagemaker_bidi_fixtures/sessions/one-utterance.jsonl --as-container"
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    recording = read_recording(SESSIONS / "one-utterance.jsonl")
    running = asyncio.create_task(run(*shlex.split(command.replace("8080", str(port)))[1:]))
    target = Target.parse(f"ws://127.0.0.1:{port}")
    async with asyncio.timeout(30):
        while True:
            outcome = await play(recording, target, pace=Pace(speed=0))
            if "nothing accepts connections" not in outcome.problem:
                break
        result = await running

    assert outcome.alike
    assert result.exit_code == 0, result.output
    assert "41 frames said, the client's alike (json)" in result.output


async def test_the_page_s_har_files_come_and_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (out,), (back,) = documented("bidi har export"), documented("bidi har import")
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    monkeypatch.chdir(tmp_path)
    for command in (out, back):
        result = await run(*shlex.split(command)[1:])
        assert result.exit_code == 0, result.output

    made = read_recording(tmp_path / "copy.jsonl")
    assert made.header == read_recording(SESSIONS / "one-utterance.jsonl").header


def test_the_page_s_endpoints_can_be_recorded() -> None:
    for command in documented("bidi record"):
        (option,) = re.findall(r"--endpoint (\S+)", command)
        name, _, url = option.partition("=")

        assert load_config(overrides={"endpoints": {name: {"url": url}}}).endpoints[name].url == url


async def test_the_page_s_record_writes_a_session_and_stops_at_a_signal(
    tmp_path: Path, echo: EchoContainer, monkeypatch: pytest.MonkeyPatch, state: Path, trust: Trust
) -> None:
    command = documented("bidi record")[0].replace("ws://127.0.0.1:8080", echo.url)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sagemaker_bidi.commands.bidi",
        *shlex.split(command)[1:],
        *("--port", "0", "--redact"),
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "BIDI_STATE_DIR": str(state), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            url = (await process.stdout.readline()).decode().split()[-1]
            async with Emulator() as here:
                trust(here)
            made = written(tmp_path, part("client", "hi"), part("container", "hi"), ended())
            outcome = await play(
                read_recording(made), Target.parse(f"{url}/voxtral"), pace=Pace(speed=0)
            )
            process.send_signal(signal.SIGINT)
            _, log = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    (path,) = (tmp_path / "recordings").iterdir()
    found = read_recording(path)

    assert outcome.alike
    assert process.returncode == 0
    assert (found.header.endpoint, found.header.provenance) == ("voxtral", "unknown")
    assert [e.size for e in found.events if isinstance(e, PartEvent)] == [2, 2]
    assert "recorded" in log.decode()


async def test_a_folder_where_nothing_can_be_recorded_is_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = await run("record", "--endpoint", "a=ws://h", "--to", tmp_path / "file", "--port", 0)

    assert result.exit_code == 1
    assert f"error: {tmp_path}/file: no recording can be written there" in result.output


async def test_a_difference_is_shown_and_fails(tmp_path: Path, echo: EchoContainer) -> None:
    made = written(tmp_path, part("client", "one"), part("container", "two"), ended())
    result = await run("replay", made, "--to", echo.url, *FAST)

    assert result.exit_code == 1
    assert "FAIL  made.jsonl: message 1 differs" in result.output
    assert "the closest recording is made.jsonl: 0 of 1 message alike" in result.output


async def test_a_member_can_be_left_out_by_name(tmp_path: Path, echo: EchoContainer) -> None:
    made = written(
        tmp_path, part("client", '{"seed": 1}'), part("container", '{"seed": 2}'), ended()
    )

    assert (await run("replay", made, "--to", echo.url, *FAST)).exit_code == 1
    ignoring = await run("replay", made, "--to", echo.url, "--ignore", "seed", *FAST)
    assert ignoring.exit_code == 0


async def test_a_replay_that_plays_nothing_fails_and_says_so(
    tmp_path: Path, echo: EchoContainer
) -> None:
    empty = await run("replay", tmp_path, "--to", echo.url)
    nothing = await run("replay", written(tmp_path, ended()), "--to", echo.url)
    missing = await run("replay", tmp_path / "none.jsonl", "--to", echo.url)

    assert [each.exit_code for each in (empty, nothing, missing)] == [2, 1, 2]
    assert "nothing was played: no recording (*.jsonl) in" in empty.output
    assert "plays nothing" in nothing.output
    assert "none.jsonl: cannot be read" in missing.output


async def test_a_recording_that_plays_nothing_fails_and_the_others_are_played(
    tmp_path: Path, echo: EchoContainer
) -> None:
    one = (part("client", "one"), part("container", "one"), ended())
    silent = written(tmp_path, ended(), name="b")
    written(tmp_path, *one, name="a")
    written(tmp_path, *one, name="c")
    result = await run("replay", tmp_path, "--to", echo.url, *FAST)

    assert result.exit_code == 1
    assert [line.partition(": ")[0] for line in result.output.splitlines()] == [
        "ok    a.jsonl",
        f"FAIL  {silent}",
        "ok    c.jsonl",
    ]


@pytest.mark.parametrize("port", ["99999", "-5"])
async def test_a_port_that_is_none_is_refused(tmp_path: Path, port: str) -> None:
    made = written(tmp_path, part("client", "one"), part("container", "one"), ended())
    result = await run("replay", made, "--as-container", port)

    assert result.exit_code == 2
    assert "Invalid value for '--as-container'" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give either --to TARGET or --as-container PORT"),
        (("--to", "ws://h:1", "--as-container", "1"), "give either --to TARGET or"),
        (("--to", "ftp://h"), "must begin with ws://"),
        (("--to", "ws://h:1", "--compare", "closely"), "expected exact, json, text"),
    ],
)
async def test_a_wrong_command_line_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = await run("replay", tmp_path / "a.jsonl", *arguments)

    assert result.exit_code == 2
    assert said in result.output


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    made = written(tmp_path, part("client", "one"), part("container", "one"), ended())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = await run("replay", made, "--as-container", port)

    assert result.exit_code == 1
    assert f"127.0.0.1:{port}" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--endpoint", "voxtral"), "write it as NAME=ADDRESS"),
        (("--endpoint", "a=tcp://h"), "must begin with ws://"),
        (("--endpoint", "a=ws://h", "--provenance", "hearsay"), "expected one of real service"),
    ],
)
async def test_a_wrong_endpoint_or_provenance_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = await run("record", "--to", tmp_path, *arguments)

    assert result.exit_code == 2
    assert said in result.output
