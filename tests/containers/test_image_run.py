"""How an image is run: what is refused before Docker is asked, and where variables go."""

from __future__ import annotations

import pytest

from sagemaker_bidi.containers.image_run import (
    ImageRun,
    create_options,
    environment_file,
    read_environment,
)


def test_variables_are_on_no_command_line() -> None:
    run = ImageRun("image", environment={"TOKEN": "secret", "EMPTY": "", "NOTE": " a=b "})
    assert environment_file(run) == "TOKEN=secret\nEMPTY=\nNOTE= a=b \n"
    assert not any("TOKEN" in option for option in create_options(run, "name", 1))


@pytest.mark.parametrize("name", ["", "#A", "A B", " A", "A=B"])
def test_a_variable_that_docker_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="Docker takes no such name"):
        ImageRun("image", environment={name: "1"})


@pytest.mark.parametrize("value", ["one\ntwo", "one\r"])
def test_a_value_with_a_line_break_is_refused_and_its_variable_named(value: str) -> None:
    refused = "environment variable NOTE of the container has a line break"
    with pytest.raises(ValueError, match=refused):
        ImageRun("image", environment={"NOTE": value})
    with pytest.raises(ValueError, match=refused):
        read_environment([f"NOTE={value}"])


@pytest.mark.clause("W2")
@pytest.mark.parametrize("name", ["", "my_end", "-a", "a" * 64])
def test_a_name_that_no_endpoint_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"endpoint name '{name}' must have at most 63 letters"):
        ImageRun("image", endpoint=name)
