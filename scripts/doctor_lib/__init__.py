"""The doctor: test open questions about MetaApi against the live service, with a real token."""

from pathlib import Path
import sys
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def _stub_package() -> None:
    """Register a stub of the integration's package, since the real one imports Home Assistant."""
    name = "custom_components.metaapi"
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(ROOT / "custom_components" / "metaapi")]
        sys.modules[name] = package


_stub_package()
