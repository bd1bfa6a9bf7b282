"""The servers of a run side by side, and the one way to put load on them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

from benchmarks.environment import BENCH, ROOT, say
from benchmarks.load.routes import ENDPOINT
from benchmarks.load.signing import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from benchmarks.processes import NotStarted, Running, free_port, running, which

LOAD_SECONDS = 120.0
STATE = BENCH / "state"

# The routes of the issue: what the tables call them.
ROUTES: Mapping[str, str] = {
    "direct": "direct WebSocket",
    "lean": "emulator, lean client",
    "sdk": "emulator, AWS SDK",
    "nghttpx": "nghttpx (RFC 8441)",
    "mitmproxy": "mitmproxy",
}


class LoadFailed(Exception):
    """A load generator gave no numbers; says why."""


@dataclass(slots=True)
class Lab:
    """What runs.

    Args:
        python: of `.bench/`, for containers and lean load.
        servers: by route.
        notes: what was skipped or went wrong, for the page.
        loops: the event loop of each route's load generator.
    """

    python: Path
    servers: dict[str, Running] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    loops: dict[str, str] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Keep a remark for the page and show it."""
        say(f"note: {text}")
        if text not in self.notes:
            self.notes.append(text)

    def load(self, work: str, route: str, server: Running, **options: Any) -> dict[str, Any]:
        """Run one load generator to its end.

        Args:
            work: see `python -m benchmarks.load`.
            route: how the sessions are opened.
            server: where; its CPU and memory are what is counted.
            options: of the generator, by name.

        Raises:
            LoadFailed: it gave no numbers.
        """
        # The SDK lives in the project's own environment.
        python = Path(sys.executable) if route == "sdk" else self.python
        command = [str(python), "-m", "benchmarks.load", work, "--route", route]
        command += ["--url", server.url, "--pid", str(server.pid)]
        if server.ca is not None:
            command += ["--ca", str(server.ca)]
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_REGION": REGION,
            **({"SSL_CERT_FILE": str(server.ca)} if server.ca is not None else {}),
        }
        environment.pop("AWS_SESSION_TOKEN", None)
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=LOAD_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise LoadFailed(f"{route}, {work}: no end after {LOAD_SECONDS:g} s") from None
        if done.returncode:
            last = done.stderr.strip().rpartition("\n")[2]
            raise LoadFailed(f"{route}, {work}: {last or f'exit status {done.returncode}'}")
        result: dict[str, Any] = json.loads(done.stdout)
        self.loops[route] = result["loop"]
        if result.get("failures"):
            self.note(f"{route}, {work}: {'; '.join(result['failures'])[:300]}")
        return result


@contextlib.contextmanager
def container(kind: str, python: Path) -> Iterator[Running]:
    """A container of the benchmarks, `echo` or `voice`."""
    port = free_port()
    command: list[str | Path] = [python, "-m", "benchmarks.container", kind, "--port", str(port)]
    with running(f"container-{kind}", command, f"ws://127.0.0.1:{port}") as server:
        yield server


@contextlib.contextmanager
def emulator(
    behind: Running,
    workers: int = 1,
    name: str = "emulator",
    program: Sequence[str | Path] = (),
) -> Iterator[Running]:
    """`bidi serve` in front of a container, with every signature checked.

    Args:
        program: what is run in place of `bidi`.
    """
    port = free_port()
    command = [*(program or [Path(sys.executable).with_name("bidi")]), "serve"]
    command += ["--endpoint", f"{ENDPOINT}={behind.url}", "--port", str(port)]
    # With unknown keys taken, the signatures of unknown keys go unchecked: not what is measured.
    command += ["--unknown-keys", "refuse", "--region", REGION]
    if workers > 1:
        command += ["--workers", str(workers)]
    url = f"https://127.0.0.1:{port}"
    bundle = STATE / "ca-bundle.pem"
    environment = {"BIDI_STATE_DIR": str(STATE)}
    with running(name, command, url, ca=bundle, environment=environment) as server:
        yield server


@contextlib.contextmanager
def nghttpx(behind: Running) -> Iterator[Running]:
    """nghttpx in front of a container: TLS and HTTP/2 outside, HTTP/1.1 inside.

    Raises:
        NotStarted: it is not installed.
    """
    program = which("nghttpx")
    if program is None:
        raise NotStarted("nghttpx is not installed (Debian: apt-get install nghttp2-proxy)")
    ca, key, chain = _identity()
    port = free_port()
    inside = behind.url.removeprefix("ws://").replace(":", ",")
    command = [program, "--conf=/dev/null", f"--frontend=127.0.0.1,{port}", f"--backend={inside}"]
    command += ["--workers=1", "--no-ocsp", "--errorlog-file=/dev/stderr"]
    command += ["--accesslog-file=/dev/null", str(key), str(chain)]
    with running("nghttpx", command, f"https://127.0.0.1:{port}", ca=ca) as server:
        yield server


@contextlib.contextmanager
def mitmproxy(behind: Running) -> Iterator[Running]:
    """mitmproxy as a reverse proxy of a container, with TLS outside.

    Raises:
        NotStarted: it is not installed.
    """
    program = which("mitmdump")
    if program is None:
        raise NotStarted("mitmproxy is not installed in .bench/")
    ca, key, chain = _identity()
    both = STATE / "peer-key-and-chain.pem"
    both.write_bytes(key.read_bytes() + chain.read_bytes())
    port = free_port()
    command = [program, "--quiet", "--mode", f"reverse:{behind.url.replace('ws:', 'http:')}"]
    command += ["--listen-host", "127.0.0.1", "--listen-port", str(port)]
    command += ["--certs", f"*={both}", "--set", f"confdir={STATE / 'mitmproxy'}"]
    with running("mitmproxy", command, f"https://127.0.0.1:{port}", ca=ca) as server:
        yield server


@contextlib.contextmanager
def lab(python: Path, wanted: Sequence[str] = tuple(ROUTES)) -> Iterator[Lab]:
    """Everything side by side on one echo container; a peer that is missing is noted.

    Raises:
        NotStarted: the container or the emulator did not come up.
    """
    with contextlib.ExitStack() as stack:
        made = Lab(python)
        echo = stack.enter_context(container("echo", python))
        made.servers["direct"] = echo
        ours = stack.enter_context(emulator(echo))
        made.servers |= {route: ours for route in ("lean", "sdk") if route in wanted}
        for route, start in (("nghttpx", nghttpx), ("mitmproxy", mitmproxy)):
            if route not in wanted:
                continue
            try:
                made.servers[route] = stack.enter_context(start(echo))
            except NotStarted as error:
                made.note(f"{ROUTES[route]} was skipped: {error}")
        yield made


def _identity() -> tuple[Path, Path, Path]:
    """CA, key and certificate chain of the peers: of the same kind as the emulator's own."""
    ca, key, chain = (STATE / f"peer-{what}.pem" for what in ("ca", "key", "chain"))
    if not chain.exists():
        STATE.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1", "localhost")
        authority.cert_pem.write_to_path(ca)
        issued.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return ca, key, chain
