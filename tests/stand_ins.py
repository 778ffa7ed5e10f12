"""Check that fake classes have the members and the signatures of the real classes."""

from collections.abc import Callable, Iterable
from inspect import Parameter, iscoroutinefunction, signature

OPEN = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def public(cls: type) -> set[str]:
    """Return the public members of a class, and its constructor."""
    return {name for name in dir(cls) if not name.startswith("_")} | {"__init__"}


def check(real: type, fake: type, names: Iterable[str], file: str) -> None:
    """Check that a fake defines the real class's members, and that its methods have the same parameters.

    Additional `*args` and `**kwargs` of the fake are not compared.
    """
    for name in names:
        assert name in vars(fake) or name in fake.__annotations__, (
            f"{fake.__name__} in {file} has no `{name}` of its own, as {real.__name__} has"
        )
        method = getattr(real, name)
        if not callable(method):
            continue
        own = getattr(fake, name)
        different = dict(taken(own).items() ^ taken(method).items())
        assert not different, (
            f"{fake.__name__}.{name} in {file} takes {', '.join(different)} differently"
            f" from {real.__name__}.{name}{signature(method)}"
        )
        assert iscoroutinefunction(own) is iscoroutinefunction(method), name


def taken(function: Callable[..., object]) -> dict[str, tuple[str, object]]:
    """Return the kind and the default of each named parameter."""
    return {
        name: (one.kind.description, one.default)
        for name, one in signature(function).parameters.items()
        if one.kind not in OPEN
    }
