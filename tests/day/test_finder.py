"""Test that the search finds tokens; otherwise a day without findings would prove nothing."""

import pytest

from .finder import PART, Finder, echoes
from .test_day import make_token

TOKEN = make_token("one")


@pytest.mark.parametrize("echo", echoes(TOKEN), ids=lambda echo: echo[:12])
def test_found(echo: str) -> None:
    """A token is found in the middle of a long text, in every form in which a server may repeat it."""
    finder = Finder([make_token("another"), TOKEN])
    assert finder.find(f"{'x' * 1000}{echo}{'y' * 1000}")
    assert finder.find(echo.upper())


def test_part() -> None:
    """A part of 16 characters is found, one of 15 is not."""
    finder = Finder([TOKEN])
    for start in range(0, len(TOKEN) - PART, 7):
        assert finder.find(f"({TOKEN[start : start + PART]})")
    assert not finder.find(f"({TOKEN[-PART:-1]})")
    assert not finder.find("?auth-token=**REDACTED**&clientId=0.123")
