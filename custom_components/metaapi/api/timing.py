"""Every pause and bound, in seconds, in one place: tests compress them together."""

from typing import NamedTuple

FLOORS_PER_HOUR = 12
"""Refusal floors in an hour (12 of 300 s)."""


# A tuple and not a dataclass, which with so many fields would take 2 ms of each start to make
class Timing(NamedTuple):
    """Pauses and bounds, in seconds unless a name says otherwise."""

    silence: float = 60.0
    """Without `status` for this long, a terminal is suspected to be gone (SDK behavior)."""
    silence_refuted: float = 90.0
    """The same, once a terminal that was suspected turned out to be there."""
    grace: float = 9.0
    """So long a subscribe is waited for: an answer to it, or a sign of life of a silent terminal."""
    round: float = 60.0
    """A subscribe round without `authenticated` that takes this long has got nowhere."""
    unknown: float = 90.0
    """After set-up the state is unknown for at most this long."""
    blind: float = 60.0
    """A socket that is down for longer makes what it showed unavailable."""
    subscribe_first: float = 3.0
    subscribe_max: float = 300.0
    """Pauses between subscribes double from the first to the last (SDK behavior)."""
    refused_floor: float = 300.0
    """After a refusal nothing is tried again sooner: at most 12 attempts an hour."""
    limit_first: float = 60.0
    """After a subscription limit nothing is tried again sooner; doubled while it repeats, up to the floor."""
    deployed_lately: float = 180.0
    """For so long after a deploy MetaApi may deny that anything is deployed (users' reports)."""
    rest_again: float = 60.0
    """REST is asked about an account no sooner again, nor later where its answer was outdated."""
    rest_period: float = 300.0
    """REST is asked again this often while the sockets alone do not tell how an account is."""
    rest_wait: float = 15.0
    """A verdict waits for what REST says for this long."""
    rest_believed: float = 600.0
    """What REST said of the broker's link is believed for this long."""
    backoff_first: float = 1.0
    backoff_max: float = 30.0
    """Bounds of the full-jitter pause between connects: a socket is back 35 s after an outage at most."""
    backoff_short: float = 4.0
    backoff_patience: float = 120.0
    """For this long after a loss no pause is longer than the short one: most faults are short."""
    backoff_reset: float = 300.0
    """A socket that was open for this long starts the back-off afresh."""
    backoff_proven: float = 60.0
    """One with an `authenticated` does so after this long; the loss of any other begins a new outage."""
    refused_first: float = 5.0
    """The first floor after a refused handshake; it doubles up to `refused_floor`."""
    connect_hung: float = 5.0
    """A connect that takes longer is given up when a person asks for a new one."""
    upgrade: float = 10.0
    """TCP, TLS and the upgrade to a websocket together: what takes longer was dropped on the way."""
    connect: float = 60.0
    """One whole connect, up to the connected namespace (SDK behavior)."""
    ping_timeout_least: float = 2.0
    """A server is given at least this long for a pong, whatever it says: a slow line may need it."""
    ping_most: float = 60.0
    """Pings are no further apart, and none waits longer, or a dead server would show too late."""
    frame: float = 60.0
    """For this long at most, the bytes of one unfinished frame stop the clock of a ping behind them."""
    nonsense_most: float = 1000
    nonsense_window: float = 10.0
    """More frames without an event in this time end the socket: MetaApi sends a pong every 25 s, and little else."""
    close: float = 2.0
    """A polite close takes no longer, then the transport is aborted."""
    response: float = 60.0
    """From a request to its answer (SDK behavior)."""
    try_response: float = 15.0
    """From a subscribe that only judges a token to its answer, while a person waits."""
    reconnect_response: float = 30.0
    """A `reconnect` unanswered for this long is sent once more in the seed page's form."""
    reconnect_socket: float = 5.0
    """The socket that showed the terminal last is waited for, before others are asked."""
    reconnect_again: float = 5.0
    """After a `TimeoutError` the request goes out again so much later, if nothing moved."""
    reconnect_explained: float = 15.0
    """An `authenticated` so soon after a subscribe may be what that one showed."""
    reconnect_confirmed: float = 5.0
    """A `status` so long after such an `authenticated` shows that the terminal stays."""
    reconnect_quiet: float = 15.0
    """Where a server sends no `status`, so much silence shows it."""
    subscribe_settle: float = 1.0
    """An accepted subscribe of a terminal that is up is followed by `authenticated` within this long."""
    token_again: float = 60.0
    """REST has to refuse a token for this long."""
    token_poll: float = 900.0
    """A token that is refused is tried again so often."""
    token_trial: float = 5.0
    """A socket with a token that is refused is closed sooner than this."""
    sweep: float = 0.05
    """The clocks that are due are looked at no more often than this."""
    jitter_per_account: float = 0.05
    jitter_max: float = 3.0
    """After a connect the subscribes of a socket's accounts are spread over this long."""
