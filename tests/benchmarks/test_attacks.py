"""The benchmark of attacks: each of them is one, and its page says what was found."""

from __future__ import annotations

import pytest

from benchmarks.attacks.__main__ import AIM, Seen, _attack, page
from benchmarks.attacks.catalogue import ATTACKS, Attack
from sagemaker_bidi import Config, Emulator
from sagemaker_bidi_fixtures.containers.echo import EchoContainer

# What has to cost its sender the connection, however fast the machine is.
FLOODS = [
    attack
    for attack in ATTACKS
    if attack.name.startswith(
        ("rapid reset", "DATA of", "PING (", "WINDOW_UPDATE", "GOAWAY", "ALTSVC", "RST_STREAM")
    )
]


def test_there_are_thirty_nine_by_name() -> None:
    assert len({attack.name for attack in ATTACKS}) == 39


@pytest.mark.parametrize("attack", FLOODS, ids=lambda attack: attack.name)
async def test_a_flood_costs_its_sender_the_connection(attack: Attack) -> None:
    async with (
        EchoContainer(port=0) as container,
        Emulator({"bench": container.url}, config=Config(port=0, health="off")) as emulator,
    ):
        _, ended = await _attack(attack, emulator.url)
        assert ended == "GOAWAY ENHANCE_YOUR_CALM"


def test_the_page_names_the_attacks_that_the_others_noticed() -> None:
    good = Seen("good", 1.0, AIM, 30.0, 4.0, 5, 0.5, "stands", 60.0)
    bad = Seen("bad", 1.0, AIM + 1, 30.0, 4.0, 5, 0.5, "GOAWAY PROTOCOL_ERROR", 60.0)

    assert "Under each of the 1 attacks" in page([good, good])
    assert "over 20 ms under 1 of the 1 attacks" in page([good, bad])
    assert "| bad | 1.0 | 21.0 | 30.0 | 4.0 | 5 | 0.50 | GOAWAY PROTOCOL_ERROR | 60 |" in page(
        [bad]
    )
