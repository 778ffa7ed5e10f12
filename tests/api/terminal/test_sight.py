"""Test what a place shows: hosts, and events that name a host only in part."""

import pytest

from .bench import ANY, ONE, TWO, Bench

# -- hosts and their names -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "then", "other", "same"),
    [
        ((0, None), (None, "ps-1"), (1, "ps-1"), (0, "ps-1")),
        ((0, None), (None, "ps-1"), (0, "ps-2"), (0, "ps-1")),
        ((None, "ps-1"), (0, None), (1, "ps-1"), (0, "ps-1")),
        ((None, "ps-1"), (0, None), (0, "ps-2"), (0, "ps-1")),
        ((0, "ps-1"), (None, "ps-1"), (1, None), (None, "ps-1")),
        ((0, "ps-1"), (0, None), (None, "ps-2"), (0, None)),
        (ANY, (0, None), (1, None), (0, "any")),
        (ANY, (None, "ps-1"), (None, "ps-2"), (9, "ps-1")),
    ],
)
@pytest.mark.parametrize("learned_by", ["authenticated", "status"])
def test_a_host_name_is_completed_by_later_events(
    bench: Bench,
    *,
    first: tuple[int | None, str | None],
    then: tuple[int | None, str | None],
    other: tuple[int | None, str | None],
    same: tuple[int | None, str | None],
    learned_by: str,
) -> None:
    """A host's name is completed from several events; the end of another host does not end it."""
    bench.up()
    bench.authenticated(first)
    if learned_by == "status":
        bench.status(then)
    else:
        bench.authenticated(then)
    bench.disconnected(other)
    assert bench.terminal is True
    bench.disconnected(same)
    assert bench.terminal is False


def test_an_exact_name_matches_only_that_host(bench: Bench) -> None:
    """An event with a complete name ends only the host that has exactly that name."""
    bench.up()
    bench.authenticated((0, "ps-1"))
    bench.authenticated((1, "ps-2"))
    bench.disconnected((0, "ps-1"))
    assert bench.machine._places["a"].sight.hosts.keys() == {(1, "ps-2")}


def test_at_most_sixteen_hosts_are_remembered(bench: Bench) -> None:
    """A place remembers at most sixteen hosts; a new one replaces the one that was silent longest."""
    bench.up()
    for number in range(16):
        bench.now = float(number)
        bench.authenticated((None, f"ps-{number}"))
    hosts = bench.machine._places["a"].sight.hosts
    assert len(hosts) == 16
    bench.now = 16.0
    bench.status((None, "ps-0"))
    bench.now = 17.0
    bench.authenticated((None, "ps-new"))
    assert hosts.keys() == {(None, "ps-new")} | {
        (None, f"ps-{number}") for number in range(16) if number != 1
    }


def test_other_hosts_outlive_an_authenticated_that_does_not_say_it_is_alone(
    bench: Bench,
) -> None:
    """Hosts of an earlier socket stay believed when another host authenticates without being the only one."""
    bench.come_up()
    bench.authenticated(TWO)
    bench.renew()
    bench.authenticated(ONE, "s2")
    bench.disconnected(ONE)
    assert bench.terminal is True


def test_a_stale_host_that_ends_leaves_the_pace_as_it_is(bench: Bench) -> None:
    """The end of a host of an earlier socket is evidence, but does not change when the new socket subscribes."""
    bench.come_up()
    bench.renew()
    bench.answer()
    bench.to(3)
    bench.answer()
    bench.to(4)
    bench.disconnected(ONE)
    assert bench.terminal is False
    bench.to(8.9)
    assert bench.subscribes()[-1] == 3
    bench.to(9)
    assert bench.subscribes()[-1] == 9


def test_the_last_host_of_this_socket_calls_for_a_subscribe(bench: Bench) -> None:
    """A subscribe follows when this socket loses its last host, even if an earlier socket's host is still believed."""
    bench.come_up()
    bench.authenticated(TWO)
    bench.renew()
    bench.answer()
    bench.authenticated(ONE, "s2")
    bench.disconnected(ONE)
    assert bench.terminal is True
    bench.to(3)
    assert bench.subscribes() == [0, 0, 3]


def test_status_of_a_stale_host_beside_a_living_one_means_nothing(bench: Bench) -> None:
    """A `status` of an earlier socket's host causes no subscribe while another host is live."""
    bench.come_up()
    bench.authenticated(TWO)
    bench.renew()
    bench.answer()
    bench.authenticated(ONE, "s2")
    bench.status(TWO)
    bench.to(10)
    assert bench.subscribes() == [0, 0]
