"""What proves that a reconnect worked: a verdict without a clock of its own."""

from typing import Any

from api.errors import CannotConnectError, TooManyPendingError
from api.model import Outcome
from api.reconnect import Proof
from api.timing import Timing
from api.transport.channel import Channel
from api.transport.connection import Connection
import pytest

from .scripted import accept, later, refuse, scripted
from .test_reconnect_timelines import well

HOST = (0, "ps-1")
OTHER = (0, "ps-2")


class Spot:
    """A place; `terse` where its server sends no `status`."""

    def __init__(self, *, terse: bool = False) -> None:
        """Be a place like any other."""
        self.terse = terse


def proof_of(*asked: Spot) -> Proof[Any]:
    """Return a proof of a request that went out in some places."""
    proof = Proof[Any](Timing())
    for spot in asked:
        proof.asked(spot)
    return proof


def test_nothing_counts_before_a_request() -> None:
    """What comes before the request, or after it was taken back, is somebody else's."""
    spot = Spot()
    proof = proof_of()
    proof.authenticated(spot, HOST, 0.0, explained=False)
    proof.disconnected(spot, HOST)
    assert not proof.moved
    proof.asked(spot)
    proof.not_asked(spot)
    proof.authenticated(spot, HOST, 0.0, explained=False)
    assert (proof.moved, proof.complete) == (False, False)


def test_unexplained_counts_at_once() -> None:
    """No subscribe of ours may have caused it."""
    spot = Spot()
    proof = proof_of(spot)
    proof.authenticated(spot, HOST, 0.0, explained=False)
    assert proof.complete


def test_another_place_counts_only_after_its_loss() -> None:
    """The account may have moved there: it went first."""
    asked, other = Spot(), Spot()
    proof = proof_of(asked)
    proof.authenticated(other, HOST, 0.0, explained=False)
    assert not proof.complete
    proof.disconnected(other, HOST)
    proof.authenticated(other, HOST, 1.0, explained=True)
    assert proof.complete


def test_an_explained_one_is_held_until_a_status() -> None:
    """A terminal on its way out sends none any more; the first after five seconds confirms it."""
    spot = Spot()
    proof = proof_of(spot)
    proof.authenticated(spot, HOST, 10.0, explained=True)
    proof.status(spot, HOST, 14.9)
    proof.status(spot, OTHER, 20.0)
    proof.status(Spot(), HOST, 20.0)
    assert not proof.complete
    proof.status(spot, HOST, 15.0)
    assert proof.complete


def test_a_loss_discards_what_is_held() -> None:
    """Only of the host that went."""
    spot = Spot()
    proof = proof_of(spot)
    proof.authenticated(spot, HOST, 0.0, explained=True)
    proof.disconnected(spot, OTHER)
    proof.disconnected(spot, HOST)
    proof.status(spot, HOST, 60.0)
    assert not proof.complete


@pytest.mark.parametrize(("terse", "complete"), [(True, True), (False, False)])
def test_quiet_seconds_count_where_no_status_comes(
    *, terse: bool, complete: bool
) -> None:
    """The seed page's dialect has no other sign that the terminal stays."""
    spot = Spot(terse=terse)
    proof = proof_of(spot)
    proof.authenticated(spot, HOST, 0.0, explained=True)
    proof.tick(14.9)
    assert not proof.complete
    proof.tick(15.0)
    assert proof.complete is complete


async def test_a_socket_that_holds_too_many_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing went out, so it goes out again a moment later, once."""
    request = Connection.request
    refused: list[str] = []

    async def full(self: Connection, kind: str, *args: Any, **fields: Any) -> Any:
        if kind == "reconnect" and not refused:
            refused.append(kind)
            raise TooManyPendingError("Too many requests wait")
        return await request(self, kind, *args, **fields)

    async with scripted() as script:
        await well(script)
        script.answers["a", "reconnect"] = accept
        monkeypatch.setattr(Connection, "request", full)
        script.at(6, script.show, "a", "disconnected")
        script.at(8, script.show, "a", "authenticated")
        result = await script.reconnect()
        assert refused == ["reconnect"]
        assert result.outcome is Outcome.AUTHENTICATED
        ((zone, when),) = script.asked("reconnect")
        assert zone == "a"
        assert when == pytest.approx(3, abs=0.1)


@pytest.fixture
def no_seed_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody answer at the seed page's server."""
    connect = Channel.connect

    async def nobody(self: Channel, url: str, *, seed_page: bool = False) -> None:
        if seed_page:
            raise CannotConnectError("nobody is there")
        await connect(self, url)

    monkeypatch.setattr(Channel, "connect", nobody)


async def test_seed_page_that_is_away_leaves_the_first_form(no_seed_page: None) -> None:
    """Silence calls for the second form; where that is away, a late answer to the first still counts."""
    async with scripted() as script:
        await well(script)
        script.answers["a", "reconnect"] = later(40, accept)
        script.at(45, script.show, "a", "disconnected")
        script.at(50, script.show, "a", "authenticated")
        result = await script.reconnect()
        assert result.outcome is Outcome.AUTHENTICATED
        assert script.asked("reconnect") == [("a", 2.0)]


async def test_seed_page_that_is_away_leaves_the_refusal(no_seed_page: None) -> None:
    """What the first form was answered is told, not that nobody answers the second."""
    async with scripted() as script:
        await well(script)
        script.answers["a", "reconnect"] = refuse("ValidationError")
        result = await script.reconnect()
        assert result.outcome is Outcome.REFUSED
        assert result.error
        assert "nobody" not in result.error
