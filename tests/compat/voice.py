"""Stubs of libraries that Home Assistant's voice and camera components import.

The mobile app's integration imports these components, and does not use them to deliver messages.
"""

from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
import sys
from types import ModuleType
from typing import override
from unittest.mock import MagicMock

ROOTS = frozenset(
    root
    for root in (
        "gazetteer_matcher",
        "haffmpeg",
        "hassil",
        "home_assistant_intents",
        "mutagen",
        "pymicro_vad",
        "pyspeex_noise",
        "turbojpeg",
    )
    if find_spec(root) is None
)


class _Stub(ModuleType):
    """A module that has every attribute."""

    __path__: list[str] = []

    @override
    def __getattr__(self, name: str) -> object:
        """Return a mock as any attribute."""
        if name.startswith("__"):
            raise AttributeError(name)
        made = MagicMock(name=f"{self.__name__}.{name}")
        setattr(self, name, made)
        return made


class _Finder(MetaPathFinder, Loader):
    """Finds the stubs."""

    @override
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Find a stub of a missing module."""
        if fullname.partition(".")[0] not in ROOTS:
            return None
        return ModuleSpec(fullname, self, is_package=True)

    @override
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Create the stub."""
        return _Stub(spec.name)

    @override
    def exec_module(self, module: ModuleType) -> None:
        """Do nothing."""


if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
    sys.meta_path.append(_Finder())
