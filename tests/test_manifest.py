"""The files that Home Assistant, its marketplace and its brands read: our own hassfest."""

from importlib import import_module
from importlib.metadata import metadata, requires, version
import json
from pathlib import Path
import re
import struct
import sys
import tomllib
from typing import Any

from awesomeversion import AwesomeVersion, AwesomeVersionStrategy
from packaging.requirements import Requirement
import pytest

from custom_components.metaapi.const import DOMAIN
import homeassistant
from homeassistant.bootstrap import DEFAULT_INTEGRATIONS
from homeassistant.const import __version__ as ha_version
from homeassistant.core import HomeAssistant
from homeassistant.loader import async_get_integration
from homeassistant.util.package import is_installed

from .flow_support import PACKAGE

ROOT = Path(__file__).parents[1]
HOME_ASSISTANT = Path(homeassistant.__file__).parent
MANIFEST: dict[str, Any] = json.loads(
    (PACKAGE / "manifest.json").read_text(encoding="utf-8")
)
HACS: dict[str, Any] = json.loads((ROOT / "hacs.json").read_text(encoding="utf-8"))
PYPROJECT: dict[str, Any] = tomllib.loads(
    (ROOT / "pyproject.toml").read_text(encoding="utf-8")
)
STUBS = ROOT / "scripts" / "stubs"
(DEFAULT,) = (
    pin.partition("==")[2]
    for pin in PYPROJECT["dependency-groups"]["demo"]
    if isinstance(pin, str) and pin.startswith("homeassistant==")
)


def generated(name: str) -> set[str] | None:
    """Return the slugs of a list that newer releases of Home Assistant hold."""
    path = HOME_ASSISTANT / "generated" / name
    if not path.exists():
        return None
    groups = json.loads(path.read_text(encoding="utf-8"))
    return {
        item["slug"]
        for group in groups
        for item in (group, *group.get("subcategories", ()))
    }


# -- manifest --------------------------------------------------------------------------


def test_keys() -> None:
    """The manifest has what a custom integration needs and no key that nobody knows."""
    assert set(MANIFEST) == {
        "after_dependencies",
        "categories",
        "codeowners",
        "config_flow",
        "connectivity",
        "documentation",
        "domain",
        "integration_type",
        "iot_class",
        "issue_tracker",
        "loggers",
        "name",
        "requirements",
        "version",
    }


def test_order() -> None:
    """Domain and name come first, then the alphabet."""
    first, second, *rest = MANIFEST
    assert [first, second] == ["domain", "name"]
    assert rest == sorted(rest)


def test_values() -> None:
    """The values are of the kinds that Home Assistant knows."""
    assert MANIFEST["domain"] == DOMAIN == PACKAGE.name
    assert MANIFEST["config_flow"] is True
    assert MANIFEST["integration_type"] == "hub"
    assert MANIFEST["iot_class"] == "cloud_push"
    assert all(owner.startswith("@") for owner in MANIFEST["codeowners"])
    assert MANIFEST["documentation"].startswith("https://github.com/")
    assert MANIFEST["issue_tracker"] == f"{MANIFEST['documentation']}/issues"
    for key in ("categories", "connectivity"):
        assert MANIFEST[key] == sorted(set(MANIFEST[key]))
        known = generated(f"integration_{key}.json")
        if known is None:
            assert AwesomeVersion(ha_version) < "2026.11.0"
        else:
            assert set(MANIFEST[key]) <= known


def test_version() -> None:
    """The version is one that Home Assistant can compare, and the project's."""
    parsed = AwesomeVersion(
        MANIFEST["version"], ensure_strategy=[AwesomeVersionStrategy.SEMVER]
    )
    assert str(parsed) == PYPROJECT["project"]["version"]


def test_requirements() -> None:
    """Each requirement has both ends, and both are tested."""
    groups = PYPROJECT["dependency-groups"]
    assert MANIFEST["requirements"] == sorted(MANIFEST["requirements"])
    of_home_assistant = {
        Requirement(text).name for text in requires("homeassistant") or ()
    }
    for text in MANIFEST["requirements"]:
        requirement = Requirement(text)
        assert text in groups["canary"]
        assert requirement.name not in of_home_assistant
        assert {spec.operator for spec in requirement.specifier} == {">=", "<"}
        assert version(requirement.name) in requirement.specifier
        floor = next(s.version for s in requirement.specifier if s.operator == ">=")
        for group in ("wire-lowest", "wire-highest"):
            pins = [Requirement(pin) for pin in groups[group]]
            (pin,) = [pin for pin in pins if pin.name == requirement.name]
            (pinned,) = [spec.version for spec in pin.specifier]
            assert pinned in requirement.specifier
            if group == "wire-lowest":
                assert pinned == f"{floor}.0"


def test_licences() -> None:
    """The requirements say themselves that they are free to use."""
    for text in MANIFEST["requirements"]:
        said = metadata(Requirement(text).name)
        assert "MIT" in (said.get("License-Expression"), said.get("License"))


@pytest.mark.skipif(ha_version != DEFAULT, reason="its pins are of one release")
@pytest.mark.parametrize("domain", ["august", "yale", DOMAIN])
def test_requirements_beside_those_of_other_integrations(domain: str) -> None:
    """One environment holds ours and those of Home Assistant's own integrations on Socket.IO."""
    folder = PACKAGE if domain == DOMAIN else HOME_ASSISTANT / "components" / domain
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["requirements"]
    assert [each for each in manifest["requirements"] if not is_installed(each)] == []
    for module in ("yalexs.manager.socketio", "yalexs.manager.data"):
        import_module(module)


@pytest.mark.skipif(ha_version != DEFAULT, reason="its pins are of one release")
def test_requirements_of_the_demo() -> None:
    """The demo's environment has what the integrations require that Home Assistant loads by itself."""
    # A home with a dashboard has the others, too
    waiting = {*DEFAULT_INTEGRATIONS, "conversation", "history", "logbook", "recorder"}
    seen: set[str] = set()
    required: set[str] = set()
    while waiting:
        domain = waiting.pop()
        seen.add(domain)
        path = HOME_ASSISTANT / "components" / domain / "manifest.json"
        manifest = json.loads(path.read_text(encoding="utf-8"))
        required.update(manifest.get("requirements", ()))
        for kind in ("dependencies", "after_dependencies"):
            waiting.update(set(manifest.get(kind, ())) - seen)
    stubs = {path.stem.replace("_", "-") for path in STUBS.glob("*.py")}
    pinned = {pin for pin in PYPROJECT["dependency-groups"]["demo"] if "==" in pin}
    of_home_assistant = set(requires("homeassistant") or ())
    assert {
        each
        for each in required - of_home_assistant
        if Requirement(each).name not in stubs
    } <= pinned


def test_loggers() -> None:
    """The loggers are those of the libraries, with a name of ours."""
    source = (PACKAGE / "api" / "transport" / "socketio2.py").read_text(
        encoding="utf-8"
    )
    for logger in MANIFEST["loggers"]:
        assert f'"{logger}"' in source


async def test_home_assistant_loads_it(hass: HomeAssistant) -> None:
    """Home Assistant takes the manifest."""
    integration = await async_get_integration(hass, DOMAIN)
    assert not integration.is_built_in
    assert integration.version == MANIFEST["version"]
    assert integration.requirements == MANIFEST["requirements"]
    assert integration.config_flow


# -- marketplace -----------------------------------------------------------------------


def test_hacs() -> None:
    """The marketplace knows the name and the oldest Home Assistant."""
    assert set(HACS) <= {
        "content_in_root",
        "country",
        "filename",
        "hacs",
        "hide_default_branch",
        "homeassistant",
        "name",
        "persistent_directory",
        "render_readme",
        "zip_release",
    }
    assert HACS["name"] == MANIFEST["name"]
    floor = HACS["homeassistant"]
    assert re.fullmatch(r"20\d\d\.\d{1,2}\.\d+", floor)
    assert AwesomeVersion(floor) <= AwesomeVersion(ha_version)


def test_one_integration() -> None:
    """The first folder of `custom_components` wins, so there is but one."""
    folders = [
        path.name
        for path in PACKAGE.parent.iterdir()
        if path.is_dir() and not path.name.startswith((".", "__"))
    ]
    assert folders == [DOMAIN]


def test_licence() -> None:
    """The license is what the project says it is."""
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.startswith("MIT License\n")
    assert "ha-metaapi contributors" in text
    assert PYPROJECT["project"]["license"] == "MIT"


# -- brand -----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "side"), [("icon.png", 256), ("icon@2x.png", 512)])
def test_icon(name: str, side: int) -> None:
    """The icon is a square PNG with transparency, in the sizes that brands have."""
    data = (PACKAGE / "brand" / name).read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height, depth, color = struct.unpack(">IIBB", data[16:26])
    assert (width, height, depth, color) == (side, side, 8, 6)


def test_brand_has_no_other_files() -> None:
    """Home Assistant knows but a few names."""
    assert {path.name for path in (PACKAGE / "brand").iterdir()} == {
        "icon.png",
        "icon@2x.png",
    }


# -- type stubs ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stub", "module"),
    [("__init__.pyi", "voluptuous"), ("error.pyi", "voluptuous.error")],
)
def test_stub_of_voluptuous(stub: str, module: str) -> None:
    """What the stub takes from `probatio` is what the name holds at run time."""
    source = (ROOT / "typings" / "voluptuous" / stub).read_text(encoding="utf-8")
    assert re.findall(r"^from (\w+) import", source, re.MULTILINE) == ["probatio"]
    named = re.findall(r"^    (\w+) as (\w+),$", source, re.MULTILINE)
    assert named
    probatio = sys.modules["probatio"]
    for name, alias in named:
        assert name == alias
        assert getattr(sys.modules[module], name) is getattr(probatio, name)
    at_run_time = set(sys.modules[module].__all__) - {"__version__"}
    assert {name for name, _ in named} == at_run_time
