"""What many connections took is given back once they are gone."""

from __future__ import annotations

from sagemaker_bidi.transport.memory import MANY, Tide, _trim


def test_memory_is_given_back_once_for_each_ebb_after_many_connections() -> None:
    given: list[int] = []
    tide = Tide(lambda: given.append(at))
    for at in (*range(MANY * 2), *reversed(range(MANY * 2))):
        tide.now(at)
    assert given == [(MANY * 2 - 1) // 8]

    for at in (*range(MANY * 2), *reversed(range(MANY * 2))):
        tide.now(at)
    assert len(given) == 2


def test_few_connections_that_come_and_go_are_worth_nothing() -> None:
    given: list[int] = []
    tide = Tide(lambda: given.append(1))
    for at in [*range(MANY), *reversed(range(MANY))] * 3:
        tide.now(at)
    assert given == []


def test_the_system_takes_it_where_it_has_a_way() -> None:
    _trim()()
