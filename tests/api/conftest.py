"""Load the client without Home Assistant, as the top-level package `api`."""

from pathlib import Path
import sys

CLIENT = Path(__file__).parents[2] / "custom_components" / "metaapi"

if str(CLIENT) not in sys.path:
    # at the end: nothing of ours may hide a module of somebody else's
    sys.path.append(str(CLIENT))

from .loopback import (  # noqa: E402, F401 - fixtures
    events,
    loopback,
    nothing_left,
    session,
    sockets,
)
