"""`bidi serve` and `bidi trust` as a user meets them."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sagemaker_bidi_fixtures.containers.echo import EchoContainer

SDK_CLIENT = """
import asyncio, sys
from aws_sdk_sagemaker_runtime_http2 import models as m
from aws_sdk_sagemaker_runtime_http2.client import AsyncSageMakerRuntimeHTTP2Client
from aws_sdk_sagemaker_runtime_http2.config import AsyncSageMakerRuntimeHTTP2Config
from smithy_http.aio.crt import AWSCRTHTTPClient

async def main() -> None:
    config = await AsyncSageMakerRuntimeHTTP2Config.resolve(transport=AWSCRTHTTPClient())
    client = AsyncSageMakerRuntimeHTTP2Client(config)
    stream = await client.invoke_endpoint_with_bidirectional_stream(
        m.InvokeEndpointWithBidirectionalStreamInput(endpoint_name="echo"))
    _, receiver = await stream.await_output()
    part = m.RequestPayloadPart(bytes_=sys.argv[1].encode(), data_type="UTF8")
    await stream.input_stream.send(m.RequestStreamEventPayloadPart(part))
    print((await receiver.receive()).value.bytes_.decode(), flush=True)
    if len(sys.argv) > 2:
        print(repr(await receiver.receive()), flush=True)
    else:  # The input of a stream that is over is not closed: the SDK may wait there for ever.
        await stream.input_stream.close()
    await client.close()

asyncio.run(main())
"""

type Run = Callable[..., subprocess.CompletedProcess[str]]
type Start = Callable[..., subprocess.Popen[str]]
type Exports = Callable[[str], dict[str, str]]


def read_until_ready(process: subprocess.Popen[str]) -> str:
    """What `bidi serve` prints up to its last export line."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if line.startswith("export AWS_DEFAULT_REGION"):
            return printed
    raise AssertionError(f"bidi serve ended: {process.communicate()}")


async def test_a_client_written_against_the_sdk_only_reaches_any_websocket_server(
    start_bidi: Start, read_exports: Exports, environment: dict[str, str]
) -> None:
    async with EchoContainer(port=0) as container:
        serving = start_bidi("serve", "--endpoint", f"echo={container.url}", "--port", 0)
        exports = read_exports(await in_thread(lambda: read_until_ready(serving)))

        client = await run_async(
            [sys.executable, "-c", SDK_CLIENT, "héllo"], {**environment, **exports}
        )

        assert client.stdout == "héllo\n", client.stderr


async def test_ctrl_c_ends_it_within_two_seconds_and_tells_the_open_sessions(
    start_bidi: Start, read_exports: Exports, environment: dict[str, str]
) -> None:
    async with EchoContainer(port=0) as container:
        serving = start_bidi("serve", "--endpoint", f"echo={container.url}", "--port", 0)
        exports = read_exports(await in_thread(lambda: read_until_ready(serving)))
        client = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", SDK_CLIENT, "hello", "and wait"),
            env={**environment, **exports},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert client.stdout is not None
        assert await client.stdout.readline() == b"hello\n"

        serving.send_signal(signal.SIGINT)

        await in_thread(lambda: serving.wait(timeout=20))
        assert serving.returncode == 0
        out, err = await client.communicate()
        assert b"The service is shutting down" in out + err
        port = int(exports["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME_HTTP2"].rpartition(":")[2])
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_trust_prints_what_serve_prints(
    run_bidi: Run, start_bidi: Start, read_exports: Exports
) -> None:
    serving = start_bidi("serve", "--endpoint", "echo=ws://127.0.0.1:9", "--port", 0)
    served = read_exports(read_until_ready(serving))
    port = served["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME_HTTP2"].rpartition(":")[2]

    trusted = read_exports(run_bidi("trust", "--port", port).stdout)

    assert trusted == served
    assert Path(trusted["SSL_CERT_FILE"]).read_text().count("BEGIN CERTIFICATE") > 1


def test_serve_names_the_command_that_lists_what_it_assumes(
    run_bidi: Run, start_bidi: Start, tmp_path: Path
) -> None:
    file = tmp_path / "bidi.toml"
    file.write_text("contract.health_failures = 7\n")
    printed = read_until_ready(
        start_bidi("serve", "--endpoint", "echo=ws://127.0.0.1:9", "--port", 0)
    )
    assert "bidi assumptions lists them" in printed

    listed = run_bidi("assumptions", "--config", file).stdout

    assert {"K3", "E7"} <= {line.split()[0] for line in listed.splitlines() if line.strip()}
    assert "health_failures = 7" in " ".join(listed.split())


def test_serve_says_at_once_where_nothing_answers(start_bidi: Start) -> None:
    printed = read_until_ready(
        start_bidi("serve", "--endpoint", "echo=ws://127.0.0.1:9", "--port", 0)
    )

    assert "not in service: GET http://127.0.0.1:9/ping could not be reached" in printed


@pytest.mark.parametrize("command", ["serve", "trust", "demo"])
def test_a_state_folder_that_cannot_be_used_is_named_with_the_remedy(
    run_bidi: Run, environment: dict[str, str], tmp_path: Path, command: str
) -> None:
    (tmp_path / "file").touch()
    environment["BIDI_STATE_DIR"] = str(tmp_path / "file" / "state")
    options = ["--endpoint", "echo=ws://127.0.0.1:9", "--port", 0] if command == "serve" else []

    ended = run_bidi(command, *options)

    assert ended.returncode == 1
    assert f"cannot be kept in {tmp_path / 'file' / 'state'} (Not a directory)" in ended.stderr
    assert "BIDI_STATE_DIR=FOLDER" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_is_named(run_bidi: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        ended = run_bidi("serve", "--endpoint", "echo=ws://127.0.0.1:9", "--port", port)

    assert ended.returncode == 1
    assert ended.stderr.endswith(
        f"error: cannot listen on 127.0.0.1:{port}: another process listens there; stop it, or "
        "choose another --port\n"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "no endpoint is configured"),
        (["--endpoint", "voxtral"], "write it as NAME=ws://HOST:PORT"),
        (["--endpoint", "vox_tral=ws://h:1"], "vox_tral"),
        (["--endpoint", "-voxtral=ws://h:1"], "letters, digits and hyphens"),
        (["--endpoint", "v=wss://h:1"], "must begin with ws://"),
        (["--endpoint", "v=ws://h:1/v1/realtime"], "has a path"),
        (["--endpoint", "v=ws://h:99999"], "Port out of range"),
        (["--endpoint", "v=ws://h:1", "--endpoint", "v=ws://h:2"], "given twice"),
        (["--endpoint", "v=ws://h:1", "--time-scale", "0"], "time_scale"),
        (["--endpoint", "v=ws://h:1", "--unknown-keys", "maybe"], "'accept' or 'refuse'"),
        (["--endpoint", "v=ws://h:1", "--control-port", "99999"], "--control-port"),
        (["--endpoint", "v=ws://h:1", "--config", "no-such.toml"], "no-such.toml: cannot be read"),
        (["--image", "a", "--image", "b"], "--image b: the name voxtral is given twice"),
        (["--image", "my_end=a"], "--image my_end=a: endpoint name 'my_end' must have"),
        (["--image", "=a"], "--image =a: endpoint name '' must have"),
        (["--image", "v="], "--image v=: write it as [NAME=]IMAGE"),
        (["--image", "a", "--env", "A"], "--env A: write it as NAME=VALUE"),
        (["--image", "a", "--model-folder", "nowhere"], "'nowhere' does not exist"),
        (["--endpoint", "v=ws://h:1", "--model-folder", "."], "--model-folder is for an image"),
        (["--endpoint", "v=ws://h:1", "--env", "A=1"], "--env is for an image"),
        (["--endpoint", "v=ws://h:1", "--gpus", "all"], "--gpus is for an image"),
        (["--endpoint", "v=ws://h:1", "--redact"], "--redact: nothing is recorded; give --record"),
    ],
)
def test_a_bad_option_is_named_with_what_is_expected(
    run_bidi: Run, arguments: list[str], says: str
) -> None:
    ended = run_bidi("serve", *arguments)

    assert ended.returncode == 2
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_folder_for_recordings_is_made_at_the_start(start_bidi: Start, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "recs"

    read_until_ready(
        start_bidi(
            *("serve", "--endpoint", "echo=ws://127.0.0.1:9", "--port", 0, "--record", folder)
        )
    )

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("options", [[], ["--workers", "2"]])
@pytest.mark.parametrize(
    ("folder", "why"), [("file", "File exists"), ("file/below", "Not a directory")]
)
def test_a_folder_where_no_recording_can_be_written_is_named_at_the_start(
    run_bidi: Run, tmp_path: Path, folder: str, why: str, options: list[str]
) -> None:
    (tmp_path / "file").write_text("in the way")

    ended = run_bidi(
        *("serve", "--endpoint", "echo=ws://127.0.0.1:9", "--port", 0),
        *("--record", tmp_path / folder, *options),
    )

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == (
        f"error: {tmp_path / folder}: no recording can be written there: {why}; choose another "
        "folder\n"
    )


@pytest.mark.parametrize(
    ("options", "folder"),
    [([], "recs"), (["--workers=2"], "recs"), (["--record={}/others"], "others")],
)
async def test_redact_leaves_payloads_out_of_what_the_file_records(
    start_bidi: Start,
    read_exports: Exports,
    environment: dict[str, str],
    tmp_path: Path,
    options: list[str],
    folder: str,
) -> None:
    config = tmp_path / "rec.toml"
    given = [option.format(tmp_path) for option in options]
    async with EchoContainer(port=0) as container:
        config.write_text(
            f"port = 0\nendpoints.echo.url = '{container.url}'\n"
            f"[record]\ndirectory = '{tmp_path}/recs'\nvllm = '0.32'\n"
        )
        serving = start_bidi("serve", "--config", config, "--redact", *given)
        exports = read_exports(await in_thread(lambda: read_until_ready(serving)))
        client = await run_async(
            [sys.executable, "-c", SDK_CLIENT, "said in private"], {**environment, **exports}
        )
        serving.send_signal(signal.SIGTERM)
        await in_thread(lambda: serving.wait(timeout=30))
    (recording,) = (tmp_path / folder).glob("*.jsonl")
    text = recording.read_text("utf-8")

    assert client.stdout == "said in private\n", client.stderr
    assert "said in private" not in text
    assert '"size":15' in text
    assert '"redacted":["payloads"]' in text
    assert '"vllm":"0.32"' in text


async def run_async(
    command: list[str], environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command while this process's event loop goes on."""
    return await in_thread(
        lambda: subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=30, check=False
        )
    )


async def in_thread[T](call: Callable[[], T]) -> T:
    """Wait for something that blocks."""
    return await asyncio.to_thread(call)
