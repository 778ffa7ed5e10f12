"""See that the client lives beside the integrations that use the same libraries.

Runs in the environment `beside`: the default Home Assistant, with what its own
integrations on Socket.IO require and with what ours requires.
"""

from importlib import import_module
from importlib.metadata import version
import json
from pathlib import Path
import sys

from homeassistant import components
from homeassistant.const import __version__ as ha_version
from homeassistant.util.package import is_installed

from .setup_env.environments import MANIFEST, NEIGHBOURS

CORE = Path(components.__path__[0])

# What uses Socket.IO: theirs, then ours
THEIRS = ("yalexs.manager.socketio", "yalexs.manager.data")
OURS = ("api.monitor", "api.rest")


def main() -> int:
    """Look whether Home Assistant would install anything else, then import them all."""
    manifests = [MANIFEST, *(CORE / name / "manifest.json" for name in NEIGHBOURS)]
    missing = [
        f"{manifest.parent.name}: {requirement}"
        for manifest in manifests
        for requirement in json.loads(manifest.read_text())["requirements"]
        if not is_installed(requirement)
    ]
    if missing:
        print("No environment holds all of them at once:", *missing, sep="\n  ")
        return 1
    sys.path.append(str(MANIFEST.parent))
    for name in (*THEIRS, *OURS):
        import_module(name)
    libraries = ("python-engineio", "python-socketio", "yalexs")
    print(f"Beside each other in Home Assistant {ha_version}:")
    print(*(f"  {name} {version(name)}" for name in libraries), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
