"""Print what the integrations need that Home Assistant loads by itself.

Runs in an environment that holds Home Assistant.
"""

import json
from pathlib import Path

from homeassistant import components
from homeassistant.bootstrap import DEFAULT_INTEGRATIONS

# Not loaded by itself, but part of any home with a dashboard.
ALSO = {"conversation", "history", "logbook", "recorder"}


def main() -> None:
    """Follow the manifests and print one requirement a line."""
    folder = Path(components.__path__[0])
    waiting = {*DEFAULT_INTEGRATIONS, *ALSO}
    seen: set[str] = set()
    needed: set[str] = set()
    while waiting:
        domain = waiting.pop()
        seen.add(domain)
        manifest = json.loads((folder / domain / "manifest.json").read_text())
        needed.update(manifest.get("requirements", ()))
        # Home Assistant too installs what the second kind needs.
        for kind in ("dependencies", "after_dependencies"):
            waiting.update(set(manifest.get(kind, ())) - seen)
    print("\n".join(sorted(needed)))


if __name__ == "__main__":
    main()
