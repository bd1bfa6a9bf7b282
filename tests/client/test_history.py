"""What happened on a stream, told in order."""

from sagemaker_bidi_client.history import History


def test_milestones_and_counts_are_told_in_their_order() -> None:
    history = History()
    history.mark("request under way")
    history.part_sent(10)
    history.part_sent(10)
    history.mark("response 200")
    history.part_sent(5)
    history.part_received(7)
    history.mark("reset")
    assert str(history) == (
        "request under way; 2 parts sent; response 200; 1 part sent and 1 part received; reset; "
        "in all 25 bytes sent, 7 received"
    )


def test_what_came_after_the_last_milestone_is_told_too() -> None:
    history = History()
    history.mark("response 200")
    history.part_received(3)
    assert str(history) == "response 200; 1 part received; in all 0 bytes sent, 3 received"
