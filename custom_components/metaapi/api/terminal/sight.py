"""What one place shows of an account: its socket, and the terminal processes (hosts) that showed themselves."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..timing import Timing
from .clock import Clock

_HOSTS_MAX = 16
"""Terminals of one account in one place that are kept apart; more is not MetaApi any more."""

type HostKey = tuple[int | None, str | None]
"""Instance number and host of an event; None matches any."""


@dataclass(slots=True)
class Host:
    """A terminal process that is authenticated, as far as we know."""

    silence: Clock
    """Runs since its last sign of life."""
    fresh: bool = True
    """False for what an earlier socket showed, until this socket shows it as well."""
    broker: bool | None = None


@dataclass(slots=True)
class Sight:
    """What one place shows."""

    timing: Timing
    down: Clock
    """Runs while the socket is down: over, what it showed is not believed any more."""
    session_id: str | None = None
    hosts: dict[HostKey, Host] = field(default_factory=dict)
    ever_up: bool = False
    last_up: bool = False
    """Whether this place is one of those where the account was up when it was last up anywhere."""
    probing: bool = False
    """Whether a ping of ours waits for its answer."""

    @property
    def socket_open(self) -> bool:
        """Return whether the socket is open."""
        return self.down.since is None

    @property
    def up(self) -> bool:
        """Return whether this very socket shows a terminal."""
        return any(host.fresh for host in self.hosts.values())

    # -- the socket ----------------------------------------------------------------------------

    def open_socket(self, session_id: str) -> None:
        """Take a new socket, with a session of its own."""
        self._forget_socket()
        self.down.stop()
        self.session_id = session_id

    def lose_socket(self, now: float) -> None:
        """Note that the socket is gone."""
        self._forget_socket()
        self.down.start(now)

    def _forget_socket(self) -> None:
        """Stop the clocks that run on the socket."""
        self.probing = False
        for host in self.hosts.values():
            host.fresh = False

    # -- hosts ---------------------------------------------------------------------------------

    def find(self, key: HostKey) -> list[HostKey]:
        """Return the hosts that an event means."""
        if key in self.hosts:
            return [key]
        return [known for known in self.hosts if _matches(known, key)]

    def is_foreign(self, session_id: str | None) -> bool:
        """Return whether an event answers an earlier socket."""
        return None not in (session_id, self.session_id) and (
            session_id != self.session_id
        )

    def authenticated(self, key: HostKey, now: float, *, alone: bool) -> None:
        """Take an `authenticated`; `alone`: MetaApi runs no other terminal for the account."""
        found = self.find(key)
        for known in found:
            host = self.hosts[known]
            host.silence.start(now)
            host.fresh = True
            self._rename(known, key)
        if not found:
            if len(self.hosts) >= _HOSTS_MAX:
                del self.hosts[min(self.hosts, key=self._last_sign)]
            self.hosts[key] = Host(Clock(self.timing.silence, now))
        if alone:
            self.forget_stale()
        self.ever_up = True

    def status(
        self,
        found: Iterable[HostKey],
        key: HostKey,
        connected: bool | None,
        now: float,
    ) -> bool:
        """Take a sign of life of hosts; return whether one of them is of this socket."""
        fresh = [known for known in found if self.hosts[known].fresh]
        for known in fresh:
            host = self.hosts[known]
            host.silence.start(now)
            if connected is not None:
                host.broker = connected
            self._rename(known, key)
        return bool(fresh)

    def remove(self, keys: Iterable[HostKey]) -> bool:
        """Take hosts out; return whether that was the last that this very socket showed."""
        removed = [self.hosts.pop(key) for key in keys]
        return any(host.fresh for host in removed) and not self.up

    def forget_stale(self) -> None:
        """Drop what only an earlier socket showed."""
        self.hosts = {key: host for key, host in self.hosts.items() if host.fresh}

    def _rename(self, known: HostKey, key: HostKey) -> None:
        """Learn the full key of a host that an earlier event named only in part."""
        full = (
            known[0] if key[0] is None else key[0],
            known[1] if key[1] is None else key[1],
        )
        if full != known:
            self.hosts[full] = self.hosts.pop(known)

    def _last_sign(self, key: HostKey) -> float:
        """Return from when on a host was silent."""
        return self.hosts[key].silence.ends

    # -- silence -------------------------------------------------------------------------------

    def silent(self, since: float) -> list[HostKey]:
        """Return the hosts of this socket that were silent for too long at a moment."""
        return [
            key
            for key, host in self.hosts.items()
            if host.fresh and host.silence.over(since)
        ]

    def wants_probe(self, now: float) -> bool:
        """Return whether to ask for a sign of life: of the socket, as a host is silent."""
        return self.socket_open and not self.probing and bool(self.silent(now))

    # -- what it comes to ----------------------------------------------------------------------

    def ends(self) -> Iterator[float]:
        """Yield when its clocks are over."""
        yield self.down.ends
        if self.socket_open and not self.probing:
            for host in self.hosts.values():
                if host.fresh:
                    yield host.silence.ends

    def describe(self, now: float) -> dict[str, Any]:
        """Return what is known, for a person."""
        return {
            "socket": self.socket_open,
            "hosts": [
                {
                    "instance": instance,
                    "host": name,
                    "session": "ours" if host.fresh else "earlier",
                    "broker": host.broker,
                    "last_sign": round(now - (host.silence.since or 0.0), 1),
                }
                for (instance, name), host in self.hosts.items()
            ],
            "probing": self.probing,
        }


def _matches(one: HostKey, other: HostKey) -> bool:
    """Return whether two keys can mean the same host."""
    return all(
        a is None or b is None or a == b for a, b in zip(one, other, strict=True)
    )
