"""Test REST reads: when they count, and while an answer can still be expected."""

from api.terminal.reads import CONNECTED, Reads

from .bench import TIMING


def read(reads: Reads, now: float, *, deployed: bool, since: float | None) -> bool:
    """Record a REST read that says whether the account is deployed; return its result."""
    return reads.read(
        now, deployed=deployed, exists=True, connection=CONNECTED, read_since=since
    )


def test_news_of_a_deploy_count_again_after_exactly_an_hour() -> None:
    """A deployment counts as new again after one hour; otherwise a flapping answer would keep lifting floors."""
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
    """A REST answer is awaited for 15 s after the question; an earlier question does not count."""
    reads = Reads(TIMING)
    assert reads.may_still_say(100.0, 100.0)
    reads.ask(0.0)
    assert reads.may_still_say(100.0, 200.0)
    reads.ask(150.0)
    assert reads.may_still_say(100.0, 164.9)
    assert not reads.may_still_say(100.0, 165.0)


def test_a_read_counts_from_when_it_began() -> None:
    """A read says nothing about what came after it began; without a time it began now."""
    reads = Reads(TIMING)
    read(reads, 50.0, deployed=True, since=40.0)
    assert reads.said_since(40.0, 50.0) == CONNECTED
    assert reads.said_since(41.0, 50.0) is None
    read(reads, 60.0, deployed=True, since=None)
    assert reads.said_since(60.0, 60.0) == CONNECTED
