"""Fixtures of the tests beside this."""

from .dialect import any_sockets  # noqa: F401 - a fixture
