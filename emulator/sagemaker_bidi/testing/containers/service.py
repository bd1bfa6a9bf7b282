"""The emulator in a container."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from sagemaker_bidi.config import TEST_KEY, merged
from sagemaker_bidi.environment import Environment, client_environment
from sagemaker_bidi.extras import needs
from sagemaker_bidi.testing.containers.model import VoxtralContainer
from sagemaker_bidi.testing.containers.reach import (
    OWN_ADDRESS,
    Says,
    StartedByUs,
    add_options,
    host_names,
    mapped,
)

PORT = 8443
DEFAULT_REGION = "us-east-1"
_CONFIG = "/etc/bidi.toml"
_STATE = "/var/lib/bidi"
_CONTROL = "8444"
# The control API listens inside, and for nobody else.
_SESSIONS = (
    "import json; from sagemaker_bidi.commands.faults import ask; "
    f"print(json.dumps(ask({_CONTROL!r}, 'GET', '/sessions')['sessions']))"
)


class SageMakerBidiContainer(StartedByUs):
    """SageMaker's bidirectional streaming in a container, ready when its port is.

        with SageMakerBidiContainer().with_endpoint("voxtral", voxtral) as sagemaker:
            client = await sagemaker.get_client()

    Args:
        image: built from the target `emulator`.
        options: of `DockerContainer`.
    """

    def __init__(self, image: str = "sagemaker-bidi/emulator:latest", **options: Any) -> None:
        super().__init__(image, **options)
        self._arguments = ["serve", "--host", "0.0.0.0"]
        self._config: dict[str, Any] = {}
        self._region = DEFAULT_REGION
        self._host_regions: list[str | None] = []
        self.with_exposed_ports(PORT)
        self.waiting_for(Says("listening on https", 60))

    def with_endpoint(self, name: str, container: VoxtralContainer | str) -> Self:
        """Add an endpoint.

        Args:
            name: as clients name it.
            container: on the same network as this one; or `ws://HOST:PORT` as seen from it.

        Raises:
            NotOnANetwork: the container has no alias on a network.
        """
        url = container if isinstance(container, str) else container.get_network_url()
        self._arguments += ["--endpoint", f"{name}={url}"]
        return self

    def with_region(self, region: str) -> Self:
        """Take only signatures of this region; any unless given."""
        self._region = region
        self._arguments += ["--region", region]
        return self

    def with_time_scale(self, scale: float) -> Self:
        """Let SageMaker's own schedule run `scale` times as fast."""
        self._arguments += ["--time-scale", str(scale)]
        return self

    def with_scenario(self, name: str) -> Self:
        """Run a named failure; `bidi scenarios` lists them."""
        self._arguments += ["--scenario", name]
        return self

    def with_config(self, toml: str) -> Self:
        """Add a text in TOML to its configuration; over what was added before.

        Raises:
            TOMLDecodeError: it is no TOML.
        """
        self._config = merged(self._config, tomllib.loads(toml))
        return self

    def with_control_port(self) -> Self:
        """Let `scenario` and `get_sessions` reach it while it runs."""
        self._arguments += ["--control-port", _CONTROL]
        return self

    def with_contract(self, **settings: str | float | bool) -> Self:
        """Set numbers and choices of the contract, such as `ping_interval=10`.

        Args:
            settings: fields of `ContractSettings` that are one value.
        """
        self._config = merged(self._config, {"contract": settings})
        return self

    def with_sagemaker_host(self, region: str | None = None) -> Self:
        """Be `runtime.sagemaker.REGION.amazonaws.com` to the containers on the same network.

        A client that hard-codes this host runs unchanged beside the emulator; it has to trust
        `get_bundle()`, and to send the test credentials.

        Args:
            region: that of `with_region` unless given; call again for another one.
        """
        self._host_regions.append(region)
        return self

    def get_url(self) -> str:
        """The endpoint URL on this machine, `https://HOST:PORT`."""
        return f"https://{mapped(self, PORT)}"

    def get_ca(self) -> bytes:
        """The certificate of the emulator's CA, PEM."""
        return self._read(f"{_STATE}/ca.pem")

    def get_bundle(self) -> bytes:
        """The usual roots and the emulator's CA, PEM: what `SSL_CERT_FILE` wants in a file."""
        return self._read(f"{_STATE}/ca-bundle.pem")

    def get_environment(self, folder: Path) -> Environment:
        """The environment that makes a client on this machine use it; see `Environment`.

        Args:
            folder: where the certificates are put for the client, such as `tmp_path`.
        """
        ca, bundle = folder / "ca.pem", folder / "ca-bundle.pem"
        ca.write_bytes(self.get_ca())
        bundle.write_bytes(self.get_bundle())
        return client_environment(self.get_url(), ca, bundle, self._region)

    def get_sessions(self) -> list[dict[str, Any]]:
        """Its sessions so far, as its control API tells of them; `with_control_port` is needed."""
        sessions: list[dict[str, Any]] = json.loads(self._run("python", "-c", _SESSIONS))
        return sessions

    @contextlib.contextmanager
    def scenario(self, name: str) -> Iterator[None]:
        """Have a failure of the catalogue for as long as the block runs; `with_control_port` first.

        Args:
            name: `throttled`, or with parameters as in `throttled:times=2`.
        """
        self._run("bidi", "faults", "add", name)
        try:
            yield
        finally:
            self._run("bidi", "faults", "remove", name.partition(":")[0])

    def _run(self, *command: str) -> str:
        done = self.exec(list(command))
        output: str = done.output.decode()
        if done.exit_code:
            raise RuntimeError(f"{' '.join(command[:3])} in the emulator's container: {output}")
        return output

    def get_credentials(self) -> dict[str, str]:
        """The environment with the test credentials and the region."""
        return {
            "AWS_ACCESS_KEY_ID": TEST_KEY.access_key_id,
            "AWS_SECRET_ACCESS_KEY": TEST_KEY.secret_access_key,
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
        }

    async def get_client(self) -> Any:
        """A client of the AWS SDK, of the release that is installed, ready to invoke the endpoints.

        Raises:
            ExtraMissing: there is no SDK.
        """
        with needs("client", "get_client()"):
            from sagemaker_bidi.testing.sdk import ready_client
        return await ready_client(self.get_url(), self.get_ca(), self._region)

    def _configure(self) -> None:
        names = host_names(self)
        if OWN_ADDRESS in names:
            add_options(self, entrypoint=["python", "-c", _WITH_OWN_ADDRESS])
        config = {**self._config, "names": [*names, *self._config.get("names", [])]}
        lines = [f"{_toml(name)} = {_toml(value)}\n" for name, value in config.items()]
        self.with_copy_into_container("".join(lines).encode(), _CONFIG)
        self.with_command([*self._arguments, "--config", _CONFIG])
        hosts = [
            f"{host}.sagemaker.{region or self._region}.amazonaws.com"
            for region in self._host_regions
            for host in _HOSTS
        ]
        if hosts:
            self.with_network_aliases(*dict.fromkeys([*(self._network_aliases or []), *hosts]))

    def _read(self, path: str) -> bytes:
        stream, _ = self.get_wrapped_container().get_archive(path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            found = archive.extractfile(path.rsplit("/", 1)[1])
            if found is None:
                raise FileNotFoundError(f"there is no file {path} in the emulator's container")
            return found.read()


def _toml(value: object) -> str:
    """A value in TOML, or a name; a table in one line."""
    match value:
        case Mapping():
            members = (f"{_toml(name)} = {_toml(each)}" for name, each in value.items())
            return "{" + ", ".join(members) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case str():
            # But for this character, which TOML wants escaped, a string is one of JSON.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case bool():
            return json.dumps(value)
        case _:
            # Numbers and times; a table says `inf` and `nan` as Python does.
            return str(value)


_HOSTS = ("runtime", "runtime-fips")
# In the container: its addresses into the certificate's names, then what it is there for.
_WITH_OWN_ADDRESS = f"""
import json, os, pathlib, socket, sys
config = pathlib.Path({_CONFIG!r})
own = json.dumps(socket.gethostbyname_ex(socket.gethostname())[2])[1:-1]
config.write_text(config.read_text().replace('"{OWN_ADDRESS}"', own, 1))
os.execvp("bidi", ["bidi", *sys.argv[1:]])
"""
