"""What is played for each scenario: its parameters, the container, and what the client does."""

from __future__ import annotations

import base64
import json
import wave
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sagemaker_bidi.scenarios import Scenario
from sagemaker_bidi_fixtures.speech import recording

SHORT = 2.0
CHUNK_BYTES = 4096
PARTS = tuple(f"part {number}" for number in range(1, 6))


def utterance() -> tuple[str, ...]:
    """A client's messages for the bundled recording, in vLLM's realtime API."""
    with wave.open(str(recording("quick-brown-fox").path), "rb") as file:
        pcm = file.readframes(file.getnframes())
    messages: list[dict[str, Any]] = [
        {"type": "session.update", "model": ""},
        {"type": "input_audio_buffer.commit", "final": False},
        *(
            {
                "type": "input_audio_buffer.append",
                "audio": base64.b64encode(pcm[start : start + CHUNK_BYTES]).decode(),
            }
            for start in range(0, len(pcm), CHUNK_BYTES)
        ),
        {"type": "input_audio_buffer.commit", "final": True},
    ]
    return tuple(json.dumps(message) for message in messages)


@dataclass(frozen=True)
class Run:
    """How a scenario is played.

    Args:
        client: what the client does, for the page; begins "The client".
        parameters: of the scenario.
        container: `echo`, or `vllm`: bridge and stand-in; `strict-vllm` has a bridge that passes
            binary messages on as they are.
        sends: texts, or numbers of bytes.
        habit: see the observer, as for the rest of the client's fields.
        patience: seconds that the client waits for one thing. Long where it comes, short where
            nothing does.
        clock: `driven` lets the emulator's time run on at once.
        round_trip: whether it is told how long the answers took.
        losses: whether it is told what the emulator counted as lost.
    """

    client: str = "The client sends 5 parts, waits for the answer to each, then closes its input."
    parameters: Mapping[str, Any] = field(default_factory=dict)
    container: Literal["echo", "vllm", "strict-vllm"] = "echo"
    sends: tuple[str | int, ...] = PARTS
    habit: Literal["echo", "talk"] = "echo"
    until: str = ""
    pause: float = 0.0
    close: Literal["after", "at-once", "never"] = "after"
    streams: int = 1
    again: bool = False
    patience: float = 10.0
    clock: Literal["real", "driven"] = "real"
    round_trip: bool = False
    losses: bool = False

    def job(self, url: str) -> dict[str, Any]:
        """The observer's job, without its id."""
        return {
            "url": url,
            "endpoint": "voxtral",
            "sends": list(self.sends),
            "habit": self.habit,
            "until": self.until,
            "pause": self.pause,
            "close": self.close,
            "streams": self.streams,
            "again": self.again,
            "patience": self.patience,
        }


REFUSED = Run("The client opens a stream and waits for its output.", patience=SHORT)
TALKS = "The client speaks vLLM's realtime API: it streams 5.9 s of speech at 20 times its speed"
# The stand-in takes about a millisecond for a token: at that pace the deltas keep up.
VLLM = Run(
    f"{TALKS} and closes its input after `transcription.done`.",
    container="vllm",
    sends=utterance(),
    habit="talk",
    until="transcription.done",
    pause=0.0064,
)


def _vllm(**changes: Any) -> Run:
    return Run(**{**VLLM.__dict__, **changes})


RUNS: Mapping[str, Run] = {
    "tls-untrusted": Run(REFUSED.client, patience=60.0),
    "half-close-discards": Run(
        "The client sends 5 parts in a quarter of a second and closes its input behind the last.",
        close="at-once",
        pause=0.05,
        losses=True,
    ),
    "input-stream-broken": Run(
        "The client sends 3 parts and waits for the answer to each.",
        parameters={"after_parts": 3},
        sends=PARTS[:3],
        close="never",
    ),
    "oversize": Run(
        "The client sends a part of 1,000 bytes, waits for the answer, then one of 100,000 bytes.",
        sends=(1_000, 100_000),
    ),
    "never-ends": Run(
        "The client sends 3 parts, waits for the answer to each, then for the end of the stream.",
        parameters={"after_parts": 3},
        sends=PARTS[:3],
        close="never",
        patience=SHORT,
    ),
    "window-stall": Run(
        "The client sends 400 parts of 32 KiB and reads what comes back at the same time.",
        parameters={"after_parts": 3},
        sends=(32 * 1024,) * 400,
        habit="talk",
        patience=SHORT,
    ),
    "goaway": Run(
        "The client sends 5 parts, waits for the answer to each, closes its input, and then "
        "invokes again on the same client.",
        parameters={"after_parts": 3},
        again=True,
    ),
    "tcp-reset": Run(
        "The client sends 5 parts, waits for the answer to each, and then invokes again on the "
        "same client.",
        parameters={"after_parts": 3},
        again=True,
    ),
    "tcp-blackhole": Run(parameters={"after_parts": 3}, patience=SHORT),
    "slow-reader": Run(parameters={"bytes_per_second": 60.0}, round_trip=True),
    "bandwidth": Run(parameters={"bytes_per_second": 120.0}, round_trip=True),
    "latency": Run(round_trip=True),
    "stream-starvation": Run(
        "The client opens two streams; on each it sends 5 parts, waits for the answer to each, "
        "then closes its input.",
        streams=2,
        patience=SHORT,
    ),
    "missed-pongs": Run(
        "The client sends 5 parts, waits for the answer to each, then for the end of the stream.",
        close="never",
        clock="driven",
    ),
    "thirty-minute-cap": Run(
        "The client sends 5 parts, waits for the answer to each, then for the end of the stream.",
        close="never",
        clock="driven",
        patience=30.0,
    ),
    "idle-silence": Run(
        "The client sends 5 parts and waits for the answer to each.",
        parameters={"after_parts": 3},
        close="never",
        clock="driven",
        patience=30.0,
    ),
    "done-never-comes": _vllm(patience=SHORT),
    "silent-stall": _vllm(patience=SHORT),
    "commit-before-update": _vllm(patience=SHORT),
    "final-without-start": _vllm(patience=SHORT),
    # At a slower pace nothing lies unread when vLLM drops the connection: no reset, an end.
    "binary-frame-1006": _vllm(
        client="The client speaks vLLM's realtime API: it streams 5.9 s of speech at its own "
        "speed. The bridge runs with `BRIDGE_STRICT_DATA_TYPE=on`.",
        container="strict-vllm",
        pause=0.128,
    ),
    "starved-session": _vllm(
        client="The client opens two streams and speaks vLLM's realtime API on both, 5.9 s of "
        "speech at 20 times its speed.",
        streams=2,
        patience=SHORT,
    ),
}


def run_of(scenario: Scenario) -> Run:
    """How a scenario is played."""
    if scenario.name in RUNS:
        return RUNS[scenario.name]
    if scenario.group == "opening" or scenario.name == "metadata-required-refused":
        return REFUSED
    if scenario.group == "vllm":
        return VLLM
    return Run(parameters={"after_parts": 3} if "after_parts" in scenario.parameters else {})
