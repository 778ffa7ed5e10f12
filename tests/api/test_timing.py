"""What the pauses and bounds of terminals are; their timelines are tested with values of their own."""

from pathlib import Path
import re

import api.terminal
from api.timing import Timing
import pytest

DEFAULTS = {
    "silence": 60,
    "silence_refuted": 90,
    "grace": 9,
    "round": 60,
    "unknown": 90,
    "blind": 60,
    "subscribe_first": 3,
    "subscribe_max": 300,
    "refused_floor": 300,
    "limit_first": 60,
    "deployed_lately": 180,
    "rest_again": 60,
    "rest_period": 300,
    "rest_wait": 15,
    "rest_believed": 600,
}


@pytest.mark.parametrize(("name", "seconds"), DEFAULTS.items())
def test_default(name: str, seconds: float) -> None:
    """A terminal waits for as long as the documentation, the SDK or a decision of ours says."""
    assert Timing()._asdict()[name] == seconds, (
        f"api/timing.py has another default of {name}: if that is meant, change it here, in"
        " ARCHITECTURE.md and in docs where they name it"
    )


def test_every_default_is_held() -> None:
    """What the state machine of a terminal uses stands above."""
    code = "".join(
        path.read_text(encoding="utf-8")
        for folder in api.terminal.__path__
        for path in Path(folder).glob("*.py")
    )
    assert set(re.findall(r"\btiming\.(\w+)", code)) == set(DEFAULTS), (
        "DEFAULTS in tests/api/test_timing.py are not what api/terminal uses"
    )
