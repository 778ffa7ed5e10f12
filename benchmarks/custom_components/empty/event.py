"""Events that never happen."""

from homeassistant.components.event import (
    EventEntity,
    EventEntityDescription as Description,
)

from . import setup_of

OUTCOMES = "authenticated refused timed_out not_deployed no_connection connection_lost token_refused"

async_setup_entry = setup_of(
    EventEntity, Description(key="reconnect_result", event_types=OUTCOMES.split())
)
