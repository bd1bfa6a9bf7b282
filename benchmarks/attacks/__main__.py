"""`python -m benchmarks.attacks`: a sibling's latency under each attack; writes docs/attacks.md."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.attacks.attacked import LongestRound
from benchmarks.attacks.attacker import PREFACE, Attacker, Over
from benchmarks.attacks.catalogue import ATTACKS, Attack
from benchmarks.environment import BENCH, ROOT, machine, revision, say
from benchmarks.figures import percentile
from benchmarks.lab import container, emulator
from benchmarks.load.http2 import SETTINGS, frame
from benchmarks.processes import Running

PAGE = ROOT / "docs" / "attacks.md"
AIM = 20.0  # ms, a sibling's p99
LEAST = 2.0  # seconds that are looked at for each attack


@dataclass(frozen=True, slots=True)
class Seen:
    """What one attack did.

    Args:
        p50, p99, worst: of the sibling's echoes meanwhile, ms.
        round: the longest that the emulator kept everybody waiting at a stretch, ms of CPU time.
        frames: that the attacker sent.
        seconds: until its connection ended, or it gave up.
        ended: how.
        mib: what the emulator holds afterwards.
    """

    name: str
    p50: float
    p99: float
    worst: float
    round: float
    frames: int
    seconds: float
    ended: str
    mib: float


def measure(attacks: Sequence[Attack]) -> list[Seen]:
    """Run each attack against one emulator, one after another, beside one sibling.

    Raises:
        RuntimeError: the sibling's session was lost.
    """
    python = Path(sys.executable)
    note = BENCH / "longest-round"
    note.parent.mkdir(exist_ok=True)
    note.unlink(missing_ok=True)
    longest = LongestRound(note)
    program: list[str | Path] = [python, "-m", "benchmarks.attacks.attacked", note]
    with (
        container("echo", python) as behind,
        emulator(behind, name="attacked", program=program) as attacked,
    ):
        command = [str(python), "-m", "benchmarks.attacks.sibling", attacked.url, str(attacked.ca)]
        with subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as sibling:
            assert sibling.stdout is not None
            os.set_blocking(sibling.stdout.fileno(), True)
            if sibling.stdout.readline() != "ready\n":
                raise RuntimeError("the sibling's session did not open")
            # From here on this process attacks: on few cores it would take the sibling's turn, too.
            os.nice(15)
            try:
                return [
                    _one(attack, attacked, sibling, longest)
                    for attack in (Attack("nothing", _rest), *attacks)
                ]
            finally:
                assert sibling.stdin is not None
                sibling.stdin.close()
                for _ in sibling.stdout:
                    pass


async def _rest(attacker: Attacker) -> None:
    await attacker.stay()


def _one(
    attack: Attack, attacked: Running, sibling: subprocess.Popen[str], longest: LongestRound
) -> Seen:
    say(attack.name)
    longest.take()
    begin = time.monotonic()
    frames, ended = asyncio.run(_attack(attack, attacked.url))
    taken = time.monotonic() - begin
    time.sleep(max(0.5, LEAST - taken))
    until = time.monotonic()
    found: list[float] = []
    assert sibling.stdout is not None
    while line := sibling.stdout.readline():
        when, took = map(float, line.split())
        if when >= begin:
            found.append(took)
        if when >= until:
            break
    else:
        raise RuntimeError(f"the sibling's session was lost during: {attack.name}")
    found.sort()
    return Seen(
        attack.name,
        percentile(found, 0.5),
        percentile(found, 0.99),
        found[-1],
        longest.take() * 1000,
        frames,
        taken,
        ended,
        _mib(attacked.pid),
    )


async def _attack(attack: Attack, url: str) -> tuple[int, str]:
    opening = attack.opening or PREFACE + frame(SETTINGS, 0, 0)
    async with Attacker(url, opening, reads=attack.reads) as attacker:
        try:
            await attack.act(attacker)
        except Over:
            pass
        except TimeoutError:
            attacker.ended = attacker.ended or "not answered"
    return attacker.frames, attacker.ended or "stands"


def _mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def page(seen: Sequence[Seen]) -> str:
    """The results as a page of the docs."""
    told = machine()
    missed = [each.name for each in seen[1:] if each.p99 > AIM]
    rows = "\n".join(
        f"| {each.name} | {each.p50:.1f} | {each.p99:.1f} | {each.worst:.1f} | {each.round:.1f} "
        f"| {each.frames:,} | {each.seconds:.2f} | {each.ended} | {each.mib:.0f} |"
        for each in seen
    )
    verdict = (
        f"Under each of the {len(seen) - 1} attacks the other's p99 stayed under {AIM:g} ms."
        if not missed
        else f"The other's p99 was over {AIM:g} ms under {len(missed)} of the {len(seen) - 1} "
        f"attacks. With no attack at all it was {seen[0].p99:.1f} ms, and its worst echo took "
        f"{seen[0].worst:.1f} ms: that much is the machine."
    )
    return f"""# Attacks

<!-- Written by `python -m benchmarks.attacks` (`make attacks`); edit the command. -->

A hostile client has one connection and does its worst for three seconds, or until the emulator ends
it. Beside it another client, a process of its own on a connection of its own, has 600 bytes echoed
each 20 ms. What counts is what that client notices, and that a flood ends its sender's connection.

{verdict}

- commit `{revision()["commit"]}`; {told["cpu"]}, {told["cores"]} cores,
  {told["busy_before"]:.0%} busy before the run; emulator, container, attacker and the other client
  share them
- times in milliseconds; `longest round`: CPU time of one round of the emulator's event loop, in
  which nobody else has a turn, whatever else the machine is busy with (its collector's work
  included)
- `ended` is what became of the attacker's connection after `seconds`:
  `stands` where it may go on, since it costs nobody anything

| attack | p50 | p99 | worst | longest round | frames sent | seconds | ended | emulator MiB |
| :-- | --: | --: | --: | --: | --: | --: | :-- | --: |
{rows}

What is counted, and the settings that say how much of it is taken: [HTTP/2](http2.md#settings).
"""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="attacks whose name holds this; writes no page")
    given = parser.parse_args()
    chosen = [attack for attack in ATTACKS if given.only in attack.name]
    text = page(measure(chosen))
    if given.only:
        print(text)
    else:
        PAGE.write_text(text, "utf-8")
        say(f"written: {PAGE}")


if __name__ == "__main__":
    main()
