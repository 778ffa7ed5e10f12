"""Fixtures of the tests in this folder."""

from .dialect import any_sockets  # noqa: F401 - a fixture
