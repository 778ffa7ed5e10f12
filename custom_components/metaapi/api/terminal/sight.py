"""What one place shows of an account: its socket, and the terminal processes (hosts) that showed themselves."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
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
    suspicion: Clock
    """Runs once it was silent for too long and MetaApi was asked for it: over, it is gone."""
    fresh: bool = True
    """False for what an earlier socket showed, until this socket shows it as well."""
    broker: bool | None = None
    renewed: bool = True
    """False for what was shown before a `reconnect` went out, until it is shown again."""


@dataclass(slots=True)
class Early:
    """An `authenticated` that came before its socket was known."""

    key: HostKey
    session_id: str
    alone: bool


@dataclass(slots=True)
class Sight:
    """What one place shows."""

    timing: Timing
    down: Clock
    """Runs while the socket is down: over, what it showed is not believed any more."""
    patience: float
    """A host may be silent for so many seconds."""
    session_id: str | None = None
    hosts: dict[HostKey, Host] = field(default_factory=dict)
    early: list[Early] = field(default_factory=list)
    last_up: bool = False
    """Whether this place is one of those where the account was up when it was last up anywhere."""
    probing: bool = False
    """Whether a ping of ours waits for its answer."""
    read_until: float = -inf
    """Whatever the socket brought up to this moment was taken: a ping sent then was answered."""
    heard_at: float = -inf
    """When the account last gave a sign of life here, but for that of the hosts."""

    @property
    def socket_open(self) -> bool:
        """Return whether the socket is open."""
        return self.down.since is None

    @property
    def up(self) -> bool:
        """Return whether this very socket shows a terminal."""
        return bool(self.hosts) and any(host.fresh for host in self.hosts.values())

    @property
    def is_well(self) -> bool:
        """Return whether this very socket shows a terminal, and none that may be gone."""
        return self.socket_open and self.up and not self.is_suspected(self.hosts)

    # -- the socket ----------------------------------------------------------------------------

    def open_socket(self, session_id: str) -> list[Early]:
        """Take a new socket, with a session of its own; return what came on it already."""
        self._forget_socket()
        self.down.stop()
        self.session_id = session_id
        early, self.early = self.early, []
        return early

    def lose_socket(self, now: float) -> None:
        """Note that the socket is gone."""
        self._forget_socket()
        self.down.start(now)

    def _forget_socket(self) -> None:
        """Stop the clocks that run on the socket."""
        self.probing = False
        self.read_until = -inf
        for host in self.hosts.values():
            host.fresh = False
            host.suspicion.stop()

    # -- hosts ---------------------------------------------------------------------------------

    def find(self, key: HostKey) -> list[HostKey]:
        """Return the hosts that an event means."""
        if key in self.hosts:
            return [key]
        return [known for known in self.hosts if _matches(known, key)]

    def is_ours(self, key: HostKey, session_id: str | None, *, alone: bool) -> bool:
        """Return whether an `authenticated` is no stale answer to an earlier socket.

        One that comes before our socket knows its session is kept until it does.
        """
        if session_id is None:
            return True
        if self.socket_open:
            return session_id == self.session_id
        if len(self.early) < _HOSTS_MAX:
            self.early.append(Early(key, session_id, alone))
        return False

    def authenticated(self, key: HostKey, now: float, *, alone: bool) -> None:
        """Take an `authenticated`; `alone`: MetaApi runs no other terminal for the account."""
        found = self.find(key)
        for known in found:
            host = self.hosts[known]
            host.silence.start(now)
            host.suspicion.stop()
            host.fresh = True
            host.renewed = True
            self._rename(known, key)
        if not found:
            if len(self.hosts) >= _HOSTS_MAX:
                del self.hosts[min(self.hosts, key=self._last_sign)]
            self.hosts[key] = Host(Clock(self.patience, now), Clock(self.timing.grace))
        if alone:
            self.forget_stale()

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
            host.suspicion.stop()
            if connected is not None:
                host.broker = connected
            self._rename(known, key)
        return bool(fresh)

    def remove(self, keys: Iterable[HostKey]) -> bool:
        """Take hosts out; return whether that was the last that this very socket showed."""
        removed = [self.hosts.pop(key) for key in keys]
        signs = (host.silence.began for host in removed)
        self.heard_at = max(self.heard_at, -inf, *signs)
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

    def silent(self) -> list[HostKey]:
        """Return the hosts of this socket that were silent for too long, and of which nobody was asked yet."""
        return [
            key
            for key, host in self.hosts.items()
            if host.fresh
            and not host.suspicion.running
            and host.silence.over(self.read_until)
        ]

    def gone(self) -> list[HostKey]:
        """Return the hosts that stayed silent although MetaApi was asked for them."""
        return [
            key
            for key, host in self.hosts.items()
            if host.suspicion.over(self.read_until)
        ]

    def is_suspected(self, keys: Iterable[HostKey]) -> bool:
        """Return whether one of these hosts was thought to be gone."""
        return any(self.hosts[key].suspicion.running for key in keys)

    def be_patient(self, patience: float) -> None:
        """Let hosts be silent for so many seconds from now on."""
        self.patience = patience
        for host in self.hosts.values():
            host.silence.lasts = patience

    # -- what it comes to ----------------------------------------------------------------------

    @property
    def last_sign(self) -> float:
        """Return when the account last gave a sign of life here."""
        signs = (host.silence.began for host in self.hosts.values())
        return max(self.heard_at, -inf, *signs)

    def moments(self) -> list[float]:
        """Return when something about a host can be judged, once the socket was read up to then."""
        return [
            host.silence.ends if host.suspicion.since is None else host.suspicion.ends
            for host in self.hosts.values()
            if host.fresh
        ]

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
                    "last_sign": round(now - (host.silence.began), 1),
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
