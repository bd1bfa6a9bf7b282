"""`bidi check` and the pytest plugin: the same suite by two doors."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from sagemaker_bidi_contract.cli import register
from sagemaker_bidi_contract.container.run import container_checks
from sagemaker_bidi_contract.options import BackendAddress, ContainerTarget, TargetError
from sagemaker_bidi_contract.report.files import require_writable
from sagemaker_bidi_contract.targets import checks_for
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from sagemaker_bidi_fixtures.containers.misbehaving import CloseAfter, MisbehavingContainer
from tests.contract_tests.running import settle, unused_port

ROOT = Path(__file__).parents[2]


def bidi(*arguments: str) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    register(app)
    return CliRunner().invoke(app, ["check", *arguments])


async def bidi_on(*arguments: str) -> Result:
    """The command has an event loop of its own, so it gets a thread of its own."""
    return await asyncio.to_thread(bidi, *arguments)


def test_the_list_shows_every_check_with_its_clauses_and_needs() -> None:
    shown = bidi("--list")
    assert shown.exit_code == 0
    assert all(check.id in shown.output for check in checks_for(""))
    assert "bridge.tail E2,F1 All that the model server sent" in shown.output
    assert "(needs fake-backend)" in shown.output


def test_the_list_can_be_narrowed() -> None:
    lines = bidi("--list", "--clause", "K4").output.splitlines()
    shown = [line.split()[0] for line in lines]
    assert sorted(shown) == sorted(check.id for check in checks_for("") if "K4" in check.clauses)
    assert {"image.label", "container.ping-page"} & set(shown) == {"container.ping-page"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give a target, such as ws://127.0.0.1:8080"),
        (["8080"], "'8080' is no container's address; write ws://HOST:PORT"),
        (
            ["localhost:8080"],
            "'localhost:8080' is no container's address; did you mean ws://localhost:8080?",
        ),
        (["wss://localhost"], "SageMaker uses no TLS"),
        (["ws://"], "names no host"),
        (["ws://localhost:8080/ping"], "has a path; write ws://HOST:PORT alone (--path"),
        (["ws://localhost:80800"], "Port out of range"),
        (["ws://user:pw@localhost"], "'ws://…@localhost' has a user or a password before the @"),
        (["ws://localhost", "--clause", "F9"], "no clause has the id 'F9'"),
        (["ws://localhost", "--check", "container.pnog"], "near it: container.pong"),
        (["ws://localhost", "--model-protocol", "openai"], "one of vllm-realtime, none"),
        (["ws://localhost", "--fake-backend", "vllm"], "write PORT or HOST:PORT"),
    ],
)
def test_a_wrong_command_line_is_refused_in_words(arguments: list[str], says: str) -> None:
    done = bidi(*arguments)
    assert done.exit_code == 2
    assert says in done.output


async def test_a_good_container_ends_with_0_and_writes_the_reports(tmp_path: Path) -> None:
    page, data, xml = tmp_path / "r.html", tmp_path / "r.json", tmp_path / "r.xml"
    async with EchoContainer(port=0) as container:
        done = await bidi_on(
            *(container.url, "--check", "container.pong", "--check", "container.text-frame"),
            *("--html", str(page), "--json", str(data), "--junit", str(xml)),
        )
    assert done.exit_code == 0, done.output
    assert "2 OK in" in done.output
    assert json.loads(data.read_text("utf-8"))["passed"] is True
    assert "<h1>2 checks passed</h1>" in page.read_text("utf-8")
    assert xml.read_text("utf-8").startswith("<?xml")


@pytest.mark.parametrize("option", ["--html", "--junit", "--json"])
@pytest.mark.parametrize(
    ("path", "why"),
    [("", "Is a directory"), ("none/report", "No such file"), ("file/report", "Not a directory")],
)
def test_a_report_that_cannot_be_written_is_told_before_any_check(
    tmp_path: Path, option: str, path: str, why: str
) -> None:
    (tmp_path / "file").touch()
    report = tmp_path / path
    done = bidi(f"ws://127.0.0.1:{unused_port()}", option, str(report))
    assert done.exit_code == 2
    assert f"error: {option} {report}: no report can be written there: {why}" in done.output
    assert "FAILED" not in done.output


def test_trying_a_reports_path_leaves_nothing_behind_and_keeps_what_is_there(
    tmp_path: Path,
) -> None:
    fresh, old, link = (tmp_path / name for name in ("fresh", "old", "link"))
    old.write_text("the last run's", "utf-8")
    link.symlink_to(tmp_path / "target")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (fresh, old, link, pipe):
        require_writable({"json": path, "html": None})
    assert not fresh.exists()
    assert old.read_text("utf-8") == "the last run's"
    assert link.is_symlink()
    assert not link.exists()


async def test_what_is_non_strict_fails_a_strict_run_alone() -> None:
    async with MisbehavingContainer(CloseAfter(1, 1003)) as container:
        arguments = (container.url, "--check", "container.binary-frame")
        loose = await bidi_on(*arguments)
        strict = await bidi_on(*arguments, "--strict")
    assert (loose.exit_code, strict.exit_code) == (0, 1)
    assert "1 NON-STRICT" in strict.output


async def test_a_run_in_which_nothing_could_be_checked_is_no_success() -> None:
    async with EchoContainer(port=0) as container:
        done = await bidi_on(container.url, "--check", "realtime.utterance")
        await settle(container.url)
    assert done.exit_code == 1
    assert "No check was made" in done.output


async def test_a_taken_backend_port_is_refused_with_what_to_do() -> None:
    async with EchoContainer(port=0) as container:
        port = container.url.rpartition(":")[2]
        done = await bidi_on(container.url, "--fake-backend", port)
    assert done.exit_code == 2
    assert f"--fake-backend 127.0.0.1:{port}: cannot listen there" in done.output


def test_addresses_are_read() -> None:
    assert ContainerTarget.parse("http://box").url == "ws://box:8080"
    assert ContainerTarget.parse("ws://[::1]:81").address == "[::1]:81"
    assert BackendAddress.parse("8081") == BackendAddress("127.0.0.1", 8081)
    assert BackendAddress.parse("0.0.0.0:8081") == BackendAddress("0.0.0.0", 8081)
    with pytest.raises(TargetError):
        BackendAddress.parse("host:")


async def run_pytest(folder: Path, *arguments: str) -> tuple[int, str]:
    # A configuration of its own: this project's asks for plugins that the inner run has not.
    (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "sagemaker_bidi_contract.plugin",
            "-p",
            "no:cacheprovider",
        ),
        *("--pyargs", "sagemaker_bidi_contract.suite", "-q", "-rA", *arguments),
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)},
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


class TestPytestPlugin:
    async def test_every_check_is_a_test_that_passes_or_is_skipped_with_its_reason(
        self, tmp_path: Path
    ) -> None:
        async with EchoContainer(port=0) as container:
            status, output = await run_pytest(tmp_path, "--bidi-target", container.url)
        assert status == 0, output
        made = [check for check in container_checks() if set(check.requires) <= {"echo"}]
        assert f"{len(made)} passed" in output
        assert "it ends the container with SIGTERM; give its process with --pid" in output

    async def test_a_failure_is_explained_without_a_traceback(self, tmp_path: Path) -> None:
        async with MisbehavingContainer(CloseAfter(3, 1002)) as container:
            status, output = await run_pytest(
                tmp_path, "--bidi-target", container.url, "-k", "fragmented-text or binary-frame"
            )
        assert status == 1
        assert "1 failed, 1 passed" in output
        assert "clause:   F3 Fragments (documented)" in output
        assert "< received from the target" in output
        assert "Traceback" not in output

    async def test_strict_fails_what_is_non_strict(self, tmp_path: Path) -> None:
        async with MisbehavingContainer(CloseAfter(1, 1003)) as container:
            status, output = await run_pytest(
                tmp_path, "--bidi-target", container.url, "--bidi-strict", "-k", "binary-frame"
            )
        assert status == 1
        assert "NON-STRICT" in output

    async def test_without_a_target_every_check_is_skipped_and_says_what_to_give(
        self, tmp_path: Path
    ) -> None:
        status, output = await run_pytest(tmp_path)
        assert status == 0
        assert f"{len(checks_for(''))} skipped" in output
        assert "no target: give one with --bidi-target ws://HOST:PORT" in output

    async def test_a_target_that_cannot_be_used_stops_the_run(self, tmp_path: Path) -> None:
        status, output = await run_pytest(tmp_path, "--bidi-target", "8080")
        assert status == pytest.ExitCode.USAGE_ERROR
        assert "'8080' is no container's address" in output
