"""Test the rules of ARCHITECTURE.md: layers, no circular imports, small classes."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INTEGRATION = ROOT / "custom_components" / "metaapi"
CLIENT = INTEGRATION / "api"
PACKAGES = ("benchmarks", "custom_components", "scripts", "simulator", "tests")

MOST_FLOORS = 6
MOST_LINES = 350
MOST_ATTRIBUTES = 15

PURE = frozenset(
    {
        "collections",
        "dataclasses",
        "datetime",
        "enum",
        "itertools",
        "math",
        "operator",
        "random",
        "typing",
    }
)
"""What the state machine may import: nothing that waits, reads, writes, or knows the time by itself."""


@cache
def modules() -> dict[str, Path]:
    """Return every module of the project, by its dotted name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if "node_modules" not in path.parts
    }


def tree(path: Path) -> ast.Module:
    """Return the parsed source of a module."""
    return ast.parse(path.read_text("utf-8"))


def imported(name: str) -> Iterator[str]:
    """Yield the dotted names that a module imports anywhere, also for type checking."""
    path = modules()[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    if path.name == "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            names = [f"{stem}.{alias.name}" for alias in node.names]
            yield from names
            # `from package import module` imports the module, not the package
            if not all(map(resolve, names)):
                yield stem


def resolve(name: str) -> str | None:
    """Return the project's module with a dotted name; tests load the client as `api`."""
    if name.split(".", maxsplit=1)[0] == "api":
        name = f"custom_components.metaapi.{name}"
    for candidate in (name, f"{name}.__init__"):
        if candidate in modules():
            return candidate
    return None


@cache
def graph() -> dict[str, frozenset[str]]:
    """Return the project's modules that each module imports."""
    return {
        name: frozenset(
            found
            for one in imported(name)
            if (found := resolve(one)) is not None and found != name
        )
        for name in modules()
    }


def client_floors() -> dict[str, int]:
    """Return the layer of each module of the client: one above the highest one it imports."""
    prefix = "custom_components.metaapi.api."
    inside = {
        name: {one for one in needs if one.startswith(prefix)}
        for name, needs in graph().items()
        if name.startswith(prefix)
    }
    floors: dict[str, int] = {}
    for name in TopologicalSorter(inside).static_order():
        floors[name] = 1 + max((floors[one] for one in inside[name]), default=0)
    return floors


def attributes(node: ast.ClassDef) -> set[str]:
    """Return the instance attributes of a class, from its body and from `self`."""
    found = {
        statement.target.id
        for statement in node.body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and "ClassVar" not in ast.unparse(statement.annotation)
    }
    for one in ast.walk(node):
        if (
            isinstance(one, ast.Attribute)
            and isinstance(one.ctx, ast.Store)
            and isinstance(one.value, ast.Name)
            and one.value.id == "self"
        ):
            found.add(one.attr)
    return found


def classes() -> list[tuple[str, ast.ClassDef]]:
    """Return every class of the integration, with its module."""
    return [
        (str(path.relative_to(INTEGRATION)), node)
        for path in sorted(INTEGRATION.rglob("*.py"))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
    ]


def test_no_circles() -> None:
    """There are no circular imports, including those for type checking."""
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as err:
        pytest.fail(" <- ".join(err.args[1]))


def test_floors_of_the_client() -> None:
    """The client has few layers."""
    floors = client_floors()
    assert max(floors.values()) <= MOST_FLOORS, floors


def test_rooms_of_the_client() -> None:
    """Sockets know no accounts, and the state machine knows no sockets."""
    prefix = "custom_components.metaapi.api."
    for name, needs in graph().items():
        room = name.removeprefix(prefix).split(".")[0]
        if not name.startswith(prefix) or room not in ("terminal", "transport"):
            continue
        ground = {"errors", "model", "support", "timing", room}
        if room == "transport":
            ground |= {"endpoints", "token"}
        rooms = {one.removeprefix(prefix).split(".")[0] for one in needs}
        assert rooms <= ground, name


def test_state_machine_is_pure() -> None:
    """The state machine does no I/O, does not wait and does not read a clock."""
    for name in modules():
        if not name.startswith("custom_components.metaapi.api.terminal."):
            continue
        foreign = {one.split(".")[0] for one in imported(name) if resolve(one) is None}
        # Names defined in our modules are not modules
        foreign -= {"custom_components"}
        assert foreign <= PURE, name
        source = modules()[name].read_text("utf-8")
        for call in (".now(", ".utcnow(", " open(", "print("):
            assert call not in source, (name, call)


def test_one_front_door() -> None:
    """Home Assistant's side imports only the public names of the client."""
    for path in INTEGRATION.glob("*.py"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom) and node.module:
                assert not node.module.startswith("api."), path.name
                assert ".api." not in node.module, path.name


def test_client_knows_no_home_assistant() -> None:
    """The client imports nothing of Home Assistant."""
    for path in CLIENT.rglob("*.py"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import):
                assert not any(
                    one.name.startswith("homeassistant") for one in node.names
                )
            elif isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("homeassistant"), path


def test_classes_are_small() -> None:
    """No class has too many lines or attributes."""
    measured = {
        f"{module}: {node.name}": (
            (node.end_lineno or 0) - node.lineno + 1,
            len(attributes(node)),
        )
        for module, node in classes()
        # A table of constants
        if node.name != "Timing"
    }
    assert {
        name: (lines, kept)
        for name, (lines, kept) in measured.items()
        if lines > MOST_LINES or kept > MOST_ATTRIBUTES
    } == {}
