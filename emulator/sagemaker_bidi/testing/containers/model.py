"""The container behind an endpoint, and a stand-in for the vLLM behind a bridge."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from docker.types import DeviceRequest  # type: ignore[import-untyped]
from websockets.asyncio.client import connect

from sagemaker_bidi.testing.containers.reach import (
    Healthy,
    StartedByUs,
    add_options,
    mapped,
    neighbour,
)

SAGEMAKER_PORT = 8080
VLLM_PORT = 8081
DATA_PATH = "/invocations-bidirectional-stream"
REALTIME_PATH = "/v1/realtime"
MODEL_FOLDER = "/opt/ml/model"
STARTUP_SECONDS = 480  # K4


class StandInContainer(StartedByUs):
    """vLLM's realtime server without its model, on 8081.

    Args:
        image: built from the target `emulator`, which has the stand-in in it.
        options: of `DockerContainer`.
    """

    def __init__(self, image: str = "sagemaker-bidi/emulator:latest", **options: Any) -> None:
        super().__init__(image, **options)
        self._arguments = [
            "-m",
            "sagemaker_bidi_fixtures.vllm",
            "--host",
            "0.0.0.0",
            "--port",
            str(VLLM_PORT),
        ]
        self.with_exposed_ports(VLLM_PORT)
        self.waiting_for(Healthy(VLLM_PORT, "/health", 60))

    def with_text(self, text: str) -> Self:
        """Say this sentence, whatever is heard; without it the bundled recordings are known."""
        self._arguments += ["--text", text]
        return self

    def with_version(self, version: str) -> Self:
        """Behave as vLLM `0.17.1`, or as the `current` one."""
        self._arguments += ["--version", version]
        return self

    def get_url(self) -> str:
        """Where it listens on this machine, `ws://HOST:PORT`."""
        return f"ws://{mapped(self, VLLM_PORT)}"

    def get_network_url(self) -> str:
        """The same for its neighbours. Raises NotOnANetwork."""
        return f"ws://{neighbour(self, VLLM_PORT)}"

    def get_client(self) -> connect:
        """A WebSocket to `/v1/realtime`: `async with stand_in.get_client() as vllm`."""
        return connect(self.get_url() + REALTIME_PATH, compression=None, proxy=None)

    def _configure(self) -> None:
        add_options(self, entrypoint=["python"])
        self.with_command(self._arguments)


class VoxtralContainer(StartedByUs):
    """The container that SageMaker runs: vLLM and the bridge, or the bridge alone.

    It is started as SageMaker does (K4): with `serve`, port 8080, the model at `/opt/ml/model`,
    read-only; and it is ready when `/ping` answers 200, for which it has 8 minutes.

    Args:
        image: built from the target `voxtral` or `bridge`.
        options: of `DockerContainer`.
    """

    def __init__(self, image: str = "sagemaker-bidi/voxtral:latest", **options: Any) -> None:
        super().__init__(image, **options)
        self.with_command("serve")
        self.with_exposed_ports(SAGEMAKER_PORT)
        self.waiting_for(Healthy(SAGEMAKER_PORT, "/ping", STARTUP_SECONDS))

    def with_model(self, folder: Path) -> Self:
        """Serve the weights in this folder.

        Raises:
            FileNotFoundError: there is no such folder; Docker would make an empty one.
        """
        if not folder.is_dir():
            raise FileNotFoundError(f"no folder {folder}: with_model wants one with the weights")
        return self.with_volume_mapping(str(folder.resolve()), MODEL_FOLDER, "ro")

    def with_gpus(self, gpus: str = "all") -> Self:
        """Give it GPUs: `all`, or ids as in "0,1"; needs NVIDIA's container toolkit."""
        chosen = {"count": -1} if gpus == "all" else {"device_ids": gpus.split(",")}
        request = DeviceRequest(capabilities=[["gpu"]], **chosen)
        add_options(self, device_requests=[request])
        return self

    def with_memory(self, limit: str) -> Self:
        """Kill it when it takes more memory than this, such as `512m`."""
        add_options(self, mem_limit=limit, memswap_limit=limit)
        return self

    def with_backend(self, vllm: StandInContainer | str) -> Self:
        """Forward to a vLLM elsewhere: for the `bridge` image.

        Args:
            vllm: on the same network as this one; or `ws://HOST:PORT` as seen from it.
        """
        url = vllm if isinstance(vllm, str) else vllm.get_network_url()
        return self.with_env("BRIDGE_BACKEND_URL", url + REALTIME_PATH)

    def with_vllm(self, **options: str | float) -> Self:
        """Set options of `vllm serve`, such as `max_model_len=4096`."""
        for name, value in options.items():
            self.with_env(f"SM_VLLM_{name.upper()}", str(value))
        return self

    def get_url(self) -> str:
        """Where it listens on this machine, `ws://HOST:PORT`."""
        return f"ws://{mapped(self, SAGEMAKER_PORT)}"

    def get_network_url(self) -> str:
        """The same for its neighbours. Raises NotOnANetwork."""
        return f"ws://{neighbour(self, SAGEMAKER_PORT)}"

    def get_client(self) -> connect:
        """A WebSocket as SageMaker opens it: `async with voxtral.get_client() as socket`."""
        return connect(self.get_url() + DATA_PATH, compression=None, proxy=None)
