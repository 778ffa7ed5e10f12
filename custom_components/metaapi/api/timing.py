"""Every pause and bound of a link, in seconds, in one place: tests compress them together."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Pauses and bounds, in seconds unless a name says otherwise."""

    silence: float = 60.0
    """Without `status` for this long, a terminal is suspected to be gone (SDK behavior)."""
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
    backoff_first: float = 1.0
    backoff_max: float = 300.0
    """Bounds of the full-jitter pause between connects."""
    backoff_short: float = 8.0
    backoff_patience: float = 120.0
    """For so long after a loss no pause is longer than the short one: most faults are short."""
    backoff_reset: float = 300.0
    """A socket that was open for this long starts the back-off afresh."""
    backoff_proven: float = 60.0
    """One with an `authenticated` does so after this long."""
    connect_hung: float = 5.0
    """A connect that takes longer is given up when a person asks for a new one."""
    connect: float = 60.0
    """One whole connect (SDK behavior)."""
    namespace: float = 10.0
    """From the open packet to the connected namespace."""
    close: float = 2.0
    """A polite close takes no longer, then the transport is aborted."""
    response: float = 60.0
    """From a request to its answer (SDK behavior)."""
    try_response: float = 15.0
    """From a subscribe that only judges a token to its answer, while a person waits."""
    reconnect_response: float = 20.0
    """A `reconnect` unanswered for this long is sent once more in the seed page's form."""
    subscribe_settle: float = 1.0
    """An accepted subscribe of a terminal that is up is followed by `authenticated` within this long."""
    sweep: float = 0.25
    """The clock of all links is looked at no more often than this."""
    jitter_per_account: float = 0.05
    jitter_max: float = 5.0
    """After a connect the subscribes of a socket's accounts are spread over this long."""
