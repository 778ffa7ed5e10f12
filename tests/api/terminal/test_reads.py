"""What REST said: when it counts, and when an answer is still to be awaited."""

from api.terminal.reads import CONNECTED, Reads

from .bench import TIMING


def read(reads: Reads, now: float, *, deployed: bool, since: float | None) -> bool:
    """Let REST say whether the account is deployed."""
    return reads.read(
        now, deployed=deployed, exists=True, connection=CONNECTED, read_since=since
    )


def test_news_of_a_deploy_count_again_after_exactly_an_hour() -> None:
    """Not sooner, or a flapping answer would lift floors for ever."""
    reads = Reads(TIMING)
    read(reads, 0.0, deployed=True, since=None)
    assert reads.deployed_lately(179.9)
    read(reads, 10.0, deployed=False, since=None)
    read(reads, 3599.0, deployed=True, since=None)
    assert not reads.deployed_lately(3599.0)
    read(reads, 3599.5, deployed=False, since=None)
    read(reads, 3600.0, deployed=True, since=None)
    assert reads.deployed_lately(3600.0)


def test_an_answer_is_awaited_for_a_while() -> None:
    """REST may be slow; a question about an earlier time is none about this one."""
    reads = Reads(TIMING)
    assert reads.may_still_say(100.0, 100.0)
    reads.ask(0.0)
    assert reads.may_still_say(100.0, 200.0)
    reads.ask(150.0)
    assert reads.may_still_say(100.0, 164.9)
    assert not reads.may_still_say(100.0, 165.0)


def test_a_read_counts_from_when_it_began() -> None:
    """It says nothing about what came later; without a time it began now."""
    reads = Reads(TIMING)
    read(reads, 50.0, deployed=True, since=40.0)
    assert reads.said_since(40.0, 50.0) == CONNECTED
    assert reads.said_since(41.0, 50.0) is None
    read(reads, 60.0, deployed=True, since=None)
    assert reads.said_since(60.0, 60.0) == CONNECTED
