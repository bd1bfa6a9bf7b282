"""What an image's configuration says, and what Docker's errors mean; no Docker is needed."""

from __future__ import annotations

from typing import Any

import pytest

from sagemaker_bidi.containers.docker import DockerError, docker, explain
from sagemaker_bidi.containers.image import LABEL, ImageFacts, UnfitImage, read_facts

INSPECTED: dict[str, Any] = {
    "Id": "sha256:abc",
    "Config": {
        "Labels": {LABEL: "true"},
        "Entrypoint": ["python3", "/opt/bridge/supervise.py"],
        "Cmd": ["serve"],
        "User": "",
        "ExposedPorts": {"8080/tcp": {}, "9/udp": {}},
        "Env": ["PATH=/bin", "SM_VLLM_MAX_MODEL_LEN=45000"],
        "Healthcheck": {"Test": ["CMD", "true"]},
    },
}


def facts(**config: Any) -> ImageFacts:
    return read_facts("it", {**INSPECTED, "Config": {**INSPECTED["Config"], **config}})


class TestAnImage:
    def test_that_is_fit_passes(self) -> None:
        image = facts()
        image.check()
        assert image.bidirectional
        assert image.as_root
        assert image.ports == {8080}
        assert image.environment == {"PATH", "SM_VLLM_MAX_MODEL_LEN"}
        assert not image.shell_form

    @pytest.mark.clause("O1")
    @pytest.mark.parametrize(
        ("labels", "what"),
        [(None, "has no label"), ({}, "has no label"), ({LABEL: "True"}, "has 'True' in the")],
    )
    def test_without_the_label_is_refused_with_the_line_to_add(
        self, labels: dict[str, str] | None, what: str
    ) -> None:
        with pytest.raises(UnfitImage, match=rf"{what}.*\(O1\). Add `LABEL {LABEL}=true`"):
            facts(Labels=labels).check()

    @pytest.mark.clause("K4")
    @pytest.mark.parametrize(
        "program",
        [
            ["/bin/sh", "-c", "python3 serve.py"],
            ["bash", "-lc", "exec vllm"],
            ["sh", "-ec", "x"],
            ["/bin/bash", "-o", "pipefail", "-c", "python3 serve.py"],
            ["/usr/bin/env", "bash", "-c", "python3 serve.py"],
            ["/usr/bin/env", "-u", "HOME", "PORT=8080", "bash", "-c", "python3 serve.py"],
            ["env", "-S", "bash -c", "python3 serve.py"],
            ["/usr/bin/tini", "-g", "--", "sh", "-c", "python3 serve.py"],
            ["/usr/bin/dumb-init", "-r", "15:2", "sh", "-c", "python3 serve.py"],
            ["tini", "--", "env", "A=b", "sh", "-c", "python3 serve.py"],
        ],
    )
    def test_whose_entrypoint_is_a_shells_line_is_known(self, program: list[str]) -> None:
        assert facts(Entrypoint=program).shell_form

    @pytest.mark.parametrize(
        "program",
        [
            *(
                ["sh", "start.sh"],
                ["tini", "--", "vllm"],
                ["sh"],
                ["sh", "-c", 'exec x "$@"', "--"],
            ),
            *(["env", "python3", "serve.py"], ["env"], ["tini", "--", "sh", "start.sh"]),
        ],
    )
    def test_whose_entrypoint_gets_the_argument_is_in_exec_form(self, program: list[str]) -> None:
        assert not facts(Entrypoint=program).shell_form

    def test_whose_command_alone_is_a_shells_line_has_no_entrypoint_to_blame(self) -> None:
        assert not facts(Entrypoint=None, Cmd=["/bin/sh", "-c", "python3 serve.py"]).shell_form

    @pytest.mark.parametrize(("user", "root"), [("0:0", True), ("root", True), ("model", False)])
    def test_knows_whom_it_runs_as(self, user: str, root: bool) -> None:
        assert facts(User=user).as_root is root

    def test_with_nothing_configured_has_nothing(self) -> None:
        image = read_facts("bare", {"Id": "sha256:0", "Config": {}})
        assert (image.entrypoint, image.command, image.ports) == ((), (), frozenset())
        assert not image.shell_form

    def test_without_a_configuration_is_none_to_run(self) -> None:
        with pytest.raises(DockerError, match="image x has no configuration"):
            read_facts("x", {"Id": "sha256:0"})


class TestDockersErrors:
    @pytest.mark.parametrize(
        ("said", "means"),
        [
            (
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it up?",
                "no Docker daemon answers: start it, or set DOCKER_HOST",
            ),
            ("Error: No such image: a/b:c", "there is no image a/b:c here: build it"),
            ("Error response from daemon: No such image: a/b: x", "there is no image a/b here"),
            ("Error: No such object: bidi-v-1", "there is no container bidi-v-1: has somebody"),
            (
                "Error response from daemon: No such container: bidi-v-1",
                "there is no container bidi-v-1: has somebody",
            ),
            (
                "Error response from daemon: driver failed: Bind for 127.0.0.1:8080 failed: port "
                "is already allocated",
                "port 127.0.0.1:8080 is taken by another container",
            ),
            (
                "Error starting userland proxy: listen tcp4 127.0.0.1:8080: bind: address already "
                "in use",
                "port 127.0.0.1:8080 is taken by another process",
            ),
            (
                'could not select device driver "" with capabilities: [[gpu]]',
                "Docker sees no GPU: install NVIDIA's container toolkit",
            ),
            ("Error response from daemon: odd", "`docker create` failed: odd"),
            ("", "`docker create` failed: it does not say why"),
        ],
    )
    def test_are_told_with_what_to_do(self, said: str, means: str) -> None:
        assert explain(said, ("create",)).startswith(means)

    async def test_a_missing_command_is_told_with_what_to_do(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(DockerError, match="there is no `docker` command on PATH"):
            await docker("version")
