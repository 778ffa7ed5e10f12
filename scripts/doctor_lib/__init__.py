"""The doctor: what nobody knows of MetaApi yet, settled with a real token against the live service."""

from pathlib import Path
import sys
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def _let_the_client_load_alone() -> None:
    """Stand in for the integration's package, which would want Home Assistant, around its client."""
    name = "custom_components.metaapi"
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(ROOT / "custom_components" / "metaapi")]
        sys.modules[name] = package


_let_the_client_load_alone()
