"""A running emulator takes plans and gives them back over its local API, and `bidi faults`."""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner, Result

from sagemaker_bidi import Emulator, PortTaken
from sagemaker_bidi.commands.faults import register
from sagemaker_bidi.faults.kinds.drop import Drop
from sagemaker_bidi.inspector.control import LARGEST_PLAN, Control
from tests.faults.faulted import faulted
from tests.faults.stage import rule
from tests.faults.test_faults_on_items import opened, send, texts

DELAY = {"name": "slow", "rules": [{"do": "delay", "seconds": 0.5, "when": {"point": "to-client"}}]}
TOML = """
name = "held"

[[rules]]
do = "hold"
when = { point = "to-client", after = 1 }
"""


@asynccontextmanager
async def api(emulator: Emulator) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        Control(emulator) as control,
        httpx.AsyncClient(
            base_url=control.url,
            trust_env=False,
            # Two seconds of CPU time may be many more on a busy machine.
            timeout=60,
            headers={"authorization": f"Bearer {control.token_file.read_text()}"},
        ) as client,
    ):
        yield client


def error_of(response: httpx.Response) -> str:
    said = response.json()
    assert list(said) == ["error"]
    return str(said["error"])


async def test_a_plan_comes_and_goes_while_a_session_runs_and_no_byte_is_lost() -> None:
    async with faulted() as w, api(w.emulator) as client:
        w.emulator.faults.remove("plan")
        stream = await opened(w)
        added = await client.post(
            "/plans", content=TOML, headers={"content-type": "application/toml"}
        )
        assert added.status_code == 201
        await send(stream, "a", "b", "c")
        assert await texts(stream, 1) == [b"a"]
        listed = (await client.get("/plans")).json()
        assert listed == {
            "plans": [
                {
                    "name": "held",
                    "seed": 0,
                    "rules": [{"do": "hold", "when": {"after": 1}}],
                }
            ]
        }

        assert (await client.delete("/plans/held")).status_code == 204
        assert await texts(stream, 2) == [b"b", b"c"]
        assert (await client.get("/plans")).json() == {"plans": []}


async def test_a_plan_in_json_is_one_in_toml(emulator: Emulator) -> None:
    async with api(emulator) as client:
        assert (await client.post("/plans", json=DELAY)).status_code == 201
        [plan] = emulator.faults.plans
        assert (plan.name, plan.rules[0].fault.name) == ("slow", "delay")
        listed = (await client.get("/plans")).json()["plans"][0]
        await client.delete("/plans/slow")
        assert (await client.post("/plans", json=listed)).status_code == 201


async def test_a_name_may_be_given_beside_the_plan(emulator: Emulator) -> None:
    async with api(emulator) as client:
        rules = {"rules": [{"do": "drop"}]}
        await client.post("/plans", params={"name": "a b/c"}, json=rules)
        assert [plan.name for plan in emulator.faults.plans] == ["a b/c"]
        gone = await client.delete(f"/plans/{urllib.parse.quote('a b/c', safe='')}")
        assert gone.status_code == 204


async def test_sessions_are_listed_with_what_was_lost_and_nothing_of_what_was_said() -> None:
    async with faulted(rule(Drop(), after=1)) as w, api(w.emulator) as client:
        stream = await opened(w)
        await send(stream, "secret one", "secret two")
        await texts(stream, 1)
        await w.watch.until(lambda: w.record.lost)
        response = await client.get("/sessions")
        [session] = response.json()["sessions"]
        assert session["id"] == w.record.id
        assert (session["endpoint"], session["status"]) == ("echo", "open")
        assert (session["parts_received"], session["frames_received"]) == (2, 2)
        assert session["lost"] == [
            {"way": "output", "why": "dropped by a fault", "messages": 1, "payload_bytes": 10}
        ]
        assert "secret" not in response.text

        stream.cancel()
        await w.watch.session_ended()
        [session] = (await client.get("/sessions")).json()["sessions"]
        assert (session["status"], session["closed_by"]) == ("closed", "client")


@pytest.mark.parametrize(
    ("kind", "content", "status", "says"),
    [
        ("application/json", "{", 400, "the plan is no valid application/json"),
        ("application/json", "[]", 400, "the plan is no table"),
        ("application/json", "[" * 100_000, 400, "the plan is no valid application/json"),
        ("application/json", "{}", 400, "the plan: rules: a plan needs at least one"),
        ("application/toml", "[[rules", 400, "the plan is no valid application/toml"),
        ("application/toml", "[[rules]]\ndo = 'dorp'", 400, "did you mean 'drop'?"),
        (
            "application/json",
            '{"rules":[{"do":"delay","seconds":1e400}]}',
            400,
            "delay.seconds must be a finite number, not inf",
        ),
        (
            "application/json",
            '{"name":"\\ud800","rules":[{"do":"drop"}]}',
            400,
            "the plan cannot be written as JSON",
        ),
        ("text/plain", TOML, 415, "send application/toml or application/json"),
        ("application/json", " " * (LARGEST_PLAN + 1), 413, "more than 131072 bytes"),
    ],
    ids=str,
)
async def test_a_bad_plan_is_refused_in_json_that_says_why(
    emulator: Emulator, kind: str, content: str, status: int, says: str
) -> None:
    async with api(emulator) as client:
        response = await client.post("/plans", content=content, headers={"content-type": kind})
        assert response.status_code == status
        assert says in error_of(response)
        assert (await client.get("/plans")).json() == {"plans": []}


async def test_a_name_that_is_taken_or_unknown_or_a_path_that_is_none_is_told(
    emulator: Emulator,
) -> None:
    async with api(emulator) as client:
        await client.post("/plans", json=DELAY)
        again = await client.post("/plans", json=DELAY)
        assert (again.status_code, "remove it first" in error_of(again)) == (409, True)
        unknown = await client.delete("/plans/other")
        assert unknown.status_code == 404
        assert error_of(unknown) == "no plan named 'other' is in force; in force: slow"
        assert error_of(await client.get("/elsewhere")) == "Not Found"
        assert error_of(await client.put("/plans")) == "Method Not Allowed"


async def test_only_who_can_read_the_file_may_use_it(emulator: Emulator) -> None:
    async with Control(emulator) as control:
        assert control.token_file.stat().st_mode & 0o777 == 0o600
        async with httpx.AsyncClient(base_url=control.url, trust_env=False) as client:
            for token in ("", "Bearer", "Bearer wrong", control.token_file.read_text()):
                refused = await client.get("/sessions", headers={"authorization": token})
                assert refused.status_code == 401
                assert str(control.token_file) in error_of(refused)
    assert not control.token_file.exists()


async def test_a_web_page_is_refused_even_with_the_token(emulator: Emulator) -> None:
    async with api(emulator) as client:
        for origin in ("https://evil.example", "null", str(client.base_url).rstrip("/")):
            response = await client.get("/plans", headers={"origin": origin})
            assert response.status_code == 403


async def test_a_session_is_ended_as_if_its_model_had_ended_it() -> None:
    async with faulted() as w, api(w.emulator) as client:
        stream = await opened(w)
        assert (await client.delete(f"/sessions/{w.record.id}")).status_code == 204
        await stream.finished()
        assert (stream.ended, stream.reset) == (True, None)
        ending = await w.watch.session_ended()
        assert (ending.by, ending.why) == ("emulator", "ended over the control API")
        again = await client.delete(f"/sessions/{w.record.id}")
        assert (again.status_code, "no session" in error_of(again)) == (404, True)


async def test_a_plan_that_takes_for_ever_to_read_is_refused_and_sessions_go_on() -> None:
    async with faulted() as w, api(w.emulator) as client:
        stream = await opened(w)
        # tomllib takes minutes for this key.
        posting = asyncio.ensure_future(
            client.post(
                "/plans",
                content="a." * 60_000 + "a = 1",
                headers={"content-type": "application/toml"},
            )
        )
        await send(stream, "a")
        assert await texts(stream, 1) == [b"a"]
        assert not posting.done()
        refused = await posting
        assert refused.status_code == 400
        assert "takes more than two seconds to read" in error_of(refused)


async def test_the_command_line_takes_the_token_from_the_environment(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Control(emulator) as control:
        token = control.token_file.read_text()
        control.token_file.unlink()
        missing = await bidi(control.url, "list")
        assert (missing.exit_code, "the token is missing" in missing.output) == (1, True)
        monkeypatch.setenv("BIDI_CONTROL_TOKEN", token)
        assert (await bidi(control.url, "list")).exit_code == 0


async def test_a_page_of_another_host_name_is_refused(emulator: Emulator) -> None:
    async with api(emulator) as client:
        response = await client.get("/plans", headers={"host": "evil.example"})
        assert response.status_code == 400


async def test_it_listens_on_this_machine_alone_and_names_a_port_that_is_taken(
    emulator: Emulator,
) -> None:
    async with Control(emulator) as control:
        assert control.url.startswith("http://127.0.0.1:")
        port = int(control.url.rpartition(":")[2])
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port} .*choose another --control-port"):
            await Control(emulator, port).__aenter__()


# The command line.


async def bidi(control: str, *arguments: str) -> Result:
    app = typer.Typer()
    register(app)
    app.command("_")(lambda: None)
    call: Any = CliRunner().invoke
    result = await asyncio.to_thread(call, app, ["faults", *arguments, "--control-port", control])
    assert isinstance(result, Result)
    return result


async def test_the_command_line_adds_lists_and_removes_a_plan(
    emulator: Emulator, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[[rules]]\ndo = 'delay'\nseconds = 0.5\nwhen = { point = 'to-container' }")
    async with Control(emulator) as control:
        assert (await bidi(control.url, "list")).output == "no plan is in force\n"
        added = await bidi(control.url, "add", str(path))
        assert (added.exit_code, "bidi faults remove mine" in added.output) == (0, True)
        listed = await bidi(control.url, "list")
        assert listed.output == "mine (seed 0)\n  delay seconds=0.5 at to-container\n"
        removed = await bidi(control.url, "remove", "mine")
        assert (removed.exit_code, emulator.faults.plans) == (0, [])


async def test_the_command_line_adds_a_scenario_of_the_catalogue(emulator: Emulator) -> None:
    async with Control(emulator) as control:
        assert (await bidi(control.url, "add", "container-dies:after_parts=3")).exit_code == 0
        [plan] = emulator.faults.plans
        assert (plan.name, plan.rules[0].when.after) == ("container-dies", 3)
        refused = await bidi(control.url, "add", "tls-untrusted:x=1")
        assert (refused.exit_code, "no parameter 'x'" in refused.output) == (2, True)
        refused = await bidi(control.url, "add", "tls-untrusted")
        assert refused.exit_code == 2
        assert "changes the configuration" in refused.output


async def test_the_command_line_tells_what_went_wrong(emulator: Emulator, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("[[rules]]\ndo = 'dealy'")
    async with Control(emulator) as control:
        wrong = await bidi(control.url, "add", str(bad))
        assert (wrong.exit_code, "did you mean 'delay'" in wrong.output) == (2, True)
        unknown = await bidi(control.url, "remove", "other")
        assert (unknown.exit_code, "no plan named 'other'" in unknown.output) == (1, True)
    nobody = await bidi(control.url, "list")
    assert nobody.exit_code == 1
    assert "--control-port" in nobody.output


@pytest.mark.parametrize(
    "control",
    ["foo", "127.0.0.1:8444", "file:///etc/hostname", "http://", "http://[::1", "http://a:99999"],
)
async def test_an_address_that_is_none_is_told_with_how_to_write_it(control: str) -> None:
    wrong = await bidi(control, "list")
    assert (wrong.exit_code, isinstance(wrong.exception, SystemExit)) == (2, True)
    assert (
        f"--control-port {control!r} (BIDI_CONTROL_PORT): write it as 8444, or as http://HOST:8444"
        in wrong.output
    )


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", "is it an emulator's control port?"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not answer"),
    ],
)
async def test_a_port_of_something_else_is_told_so(answer: bytes, says: str) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(other, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        wrong = await bidi(f"http://127.0.0.1:{port}", "list")
    assert (wrong.exit_code, isinstance(wrong.exception, SystemExit)) == (1, True)
    assert says in wrong.output


async def test_a_scenario_is_in_force_for_as_long_as_its_block_runs(emulator: Emulator) -> None:
    async with emulator.scenario("container-dies", after_parts=3) as plan:
        assert emulator.faults.plans == [plan]
        assert plan.rules[0].when.after == 3
    assert emulator.faults.plans == []
    with pytest.raises(ValueError, match="so it cannot come to a running emulator"):
        async with emulator.scenario("tls-untrusted"):
            pass
