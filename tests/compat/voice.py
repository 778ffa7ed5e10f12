"""Stand-ins for what Home Assistant's voice and camera components need, and no environment of the tests has.

The app's integration imports those components, and uses nothing of them for what it delivers.
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


class _StandIn(ModuleType):
    """A module that has whatever is asked for."""

    __path__: list[str] = []

    @override
    def __getattr__(self, name: str) -> object:
        """Make a name."""
        if name.startswith("__"):
            raise AttributeError(name)
        made = MagicMock(name=f"{self.__name__}.{name}")
        setattr(self, name, made)
        return made


class _Finder(MetaPathFinder, Loader):
    """Finds the stand-ins."""

    @override
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Find a module of those that are missing."""
        if fullname.partition(".")[0] not in ROOTS:
            return None
        return ModuleSpec(fullname, self, is_package=True)

    @override
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make it."""
        return _StandIn(spec.name)

    @override
    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
    sys.meta_path.append(_Finder())
