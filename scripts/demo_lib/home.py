"""The configuration folder of the demo's Home Assistant: made, and thrown away."""

from collections.abc import Iterator
from contextlib import contextmanager
import json
from pathlib import Path
import shutil
import tempfile
from typing import Any

from scripts.setup_env.steps import ROOT, VENVS

FILES = ROOT / "scripts" / "demo_files"
INTEGRATION = ROOT / "custom_components" / "metaapi"
BLUEPRINTS = ROOT / "blueprints"
HOST = "127.0.0.1"

# As Home Assistant 2026.10 writes it; the `http:` of a YAML file opens a dialog instead.
HTTP_VERSION = (2, 2)
ONBOARDING_VERSION = (4, 1)
# All but the first, which makes the user
ONBOARDING_DONE = ("core_config", "analytics", "integration")


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder for everything that the demo writes; remove it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="metaapi-demo-"))
    try:
        yield folder
    except Exception:
        for log in folder.glob("*.log"):
            print(f"  The log: {shutil.copy(log, VENVS / f'demo-{log.name}')}")
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fill(folder: Path, kind: str, port: int, simulator: str | None) -> None:
    """Write all that Home Assistant finds at its first start."""
    shutil.copytree(FILES / kind, folder)
    if simulator:
        (folder / "secrets.yaml").write_text(f'simulator: "{simulator}/"\n')
    if kind != "empty":
        components = folder / "custom_components"
        components.mkdir()
        link = components / INTEGRATION.name
        link.symlink_to(INTEGRATION, target_is_directory=True)
        shutil.copytree(BLUEPRINTS, folder / "blueprints")
    store(folder, "http", HTTP_VERSION, http_data(port))
    store(folder, "onboarding", ONBOARDING_VERSION, {"done": ONBOARDING_DONE})


def store(folder: Path, key: str, version: tuple[int, int], data: Any) -> None:
    """Write a file as Home Assistant stores it."""
    path = folder / ".storage" / key
    path.parent.mkdir(exist_ok=True)
    major, minor = version
    content = {"version": major, "minor_version": minor, "key": key, "data": data}
    path.write_text(json.dumps(content))


def http_data(port: int) -> dict[str, Any]:
    """Return the settings of Home Assistant's own server: this machine only."""
    return {
        "stable": {
            "server_host": [HOST],
            "server_port": port,
            "cors_allowed_origins": [],
            "login_attempts_threshold": -1,
            "ip_ban_enabled": False,
            "ssl_profile": "modern",
            "use_x_frame_options": True,
            "created_at": "2026-01-01T00:00:00+00:00",
            "error": None,
            "error_message": None,
        },
        "pending": None,
        "yaml_migration_done": True,
    }
