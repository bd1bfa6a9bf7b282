import os
import subprocess
import sys

from sagemaker_bidi import Emulator

COMMAND = [
    sys.executable,
    "-c",
    "import asyncio, my_client; print(asyncio.run(my_client.ask('voice', ['hello'])))",
]


def test_a_command_without_an_event_loop_of_ours(echo_container):
    with Emulator(endpoints={"voice": echo_container.url}) as emulator:
        done = subprocess.run(
            COMMAND,
            env=emulator.environment().over(os.environ),
            capture_output=True,
            text=True,
            timeout=30,
        )

    assert done.stdout == "['hello']\n", done.stderr
