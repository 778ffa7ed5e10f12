"""What may be set when a simulator is made, and changed while it runs."""

from dataclasses import dataclass, field
from typing import Any, Literal

type PayloadForm = Literal["auto", "object", "string"]
type BadToken = Literal["http401", "close", "error_packet", "processing_error"]


@dataclass(kw_only=True, eq=False)
class Settings:
    """Timing (seconds) and habits of the servers."""

    ping_interval: float = 25.0
    ping_timeout: float = 5.0
    status_interval: float = 5.0
    subscribe_timeout: float = 10.0
    reconnect_delay: float = 2.0
    reply_delay: float = 0.0
    handshake_delay: float = 0.0
    rest_delay: float = 0.0

    payload_form: PayloadForm = "auto"
    minimal_authenticated: bool = False
    bad_token: BadToken = "http401"
    provisioning_refusal: int = 403

    # What a socket is sent at first; None withholds the packet.
    open_packet: str | None = "auto"
    connect_packet: str | None = "40"

    # An HTTP status with which every new socket is refused.
    refuse_status: int | None = None
    refuse_retry_after: float | None = None

    # Quotas of account subscriptions: by owner, by owner and server, by server.
    max_accounts_per_user: int | None = None
    max_accounts_per_user_per_server: int | None = None
    max_accounts_per_server: int | None = None
    quota_retry_after: float = 10.0

    regions: list[str] = field(default_factory=lambda: ["london", "new-york"])
    server_settings: dict[str, Any] = field(default_factory=dict)
