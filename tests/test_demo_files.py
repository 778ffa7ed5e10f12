"""What the demo gives to Home Assistant: it parses, and names only what exists."""

import asyncio
from collections.abc import Iterator
import json
from pathlib import Path
import signal
import sys
from typing import Any

import pytest

from homeassistant.components.http.config import (
    HTTP_STORAGE_SCHEMA,
    STORAGE_MINOR_VERSION,
    STORAGE_VERSION,
    async_load_config,
)
from homeassistant.core import HomeAssistant
from homeassistant.helpers import config_validation as cv
from homeassistant.util import slugify
from homeassistant.util.yaml import Secrets, load_yaml
from scripts.demo_lib import home, processes, stage
from scripts.demo_lib.accounts import ACCOUNTS, AUTOMATION
from scripts.demo_lib.dashboard import TOOLS, URL_PATH
from scripts.demo_lib.options import Options, parse
from scripts.demo_lib.progress import DemoError, until
from scripts.demo_lib.runner import leaves
from simulator import plain_accounts
from simulator.__main__ import parse as parse_simulator

HTTP_META = {"created_at", "error", "error_message"}
PAGE = "http://127.0.0.1:1"


@pytest.fixture(name="live")
def live_fixture(tmp_path: Path) -> Path:
    """Return the configuration folder of a demo without a simulator."""
    folder = tmp_path / "config"
    home.fill(folder, "live", 8123, None)
    return folder


@pytest.fixture(name="simulated")
def simulated_fixture(tmp_path: Path) -> Path:
    """Return the configuration folder of a demo with a simulator."""
    folder = tmp_path / "config"
    home.fill(folder, "simulated", 8123, PAGE)
    return folder


def read(folder: Path, name: str) -> Any:
    """Return a YAML file as Home Assistant reads it."""
    return load_yaml(str(folder / name), Secrets(folder))


def texts(tree: Any) -> Iterator[str]:
    """Yield each string in a tree."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, list):
        for each in tree:
            yield from texts(each)
    elif isinstance(tree, dict):
        yield from texts(list(tree.values()))


def named_entities(tree: Any) -> set[str]:
    """Return each string in a tree that names an entity."""
    domains = ("automation.", "binary_sensor.", "button.", "sensor.")
    return {text for text in texts(tree) if text.startswith(domains)}


def test_the_live_demo_names_its_dashboard(live: Path) -> None:
    """The dashboard that the demo opens is there, and its file parses."""
    dashboards = read(live, "configuration.yaml")["lovelace"]["dashboards"]
    dashboard = read(live, dashboards[URL_PATH]["filename"])
    assert dashboard["views"]


def test_what_only_the_demo_shows(simulated: Path) -> None:
    """The page on which accounts are broken is one press away, and all that is named exists."""
    tools = read(simulated, TOOLS)
    assert f"{PAGE}/" in set(texts(tools))
    assert named_entities(tools) == {AUTOMATION}


@pytest.mark.usefixtures("hass")
async def test_the_automation_is_valid_and_names_what_exists(simulated: Path) -> None:
    """It listens to the terminals of all accounts, and calls our action."""
    (automation,) = read(simulated, "configuration.yaml")["automation"]
    cv.TRIGGER_SCHEMA(automation["triggers"])
    actions = cv.SCRIPT_SCHEMA(automation["actions"])
    assert actions[0]["action"] == "metaapi.reconnect"
    assert named_entities(automation) == {each.terminal_id for each in ACCOUNTS}
    assert f"automation.{slugify(automation['alias'])}" == AUTOMATION


def test_the_accounts_are_those_of_the_simulator() -> None:
    """The names are what entity ids are made from."""
    options = parse_simulator(list(stage.SIMULATOR[1:]))
    accounts = plain_accounts(options.accounts)
    assert [each.name for each in accounts] == [each.name for each in ACCOUNTS]
    assert [slugify(each.name) for each in accounts] == [each.slug for each in ACCOUNTS]


async def test_the_stored_http_settings_are_valid(
    hass: HomeAssistant, hass_storage: dict[str, Any], simulated: Path
) -> None:
    """Home Assistant reads them as its own, at this version or an older one."""
    stored = json.loads((simulated / ".storage" / "http").read_text())
    assert home.HTTP_VERSION <= (STORAGE_VERSION, STORAGE_MINOR_VERSION)
    hass_storage["http"] = stored
    read_back = await async_load_config(hass, {})
    HTTP_STORAGE_SCHEMA(
        {key: value for key, value in read_back.items() if key not in HTTP_META}
    )
    assert read_back.get("server_host") == ["127.0.0.1"]
    assert read_back.get("server_port") == 8123
    assert read_back.get("error") is None


def test_the_command_line() -> None:
    """The options are read, and nonsense is refused."""
    assert parse([]) == Options()
    assert parse(["--port", "8200", "--live"]) == Options(port=8200, live=True)
    for wrong in (["--port", "0"], ["--port", "many"], ["--live", "--check"]):
        with pytest.raises(SystemExit, match="2"):
            parse(wrong)


async def test_the_death_of_a_child_is_told_with_the_end_of_its_log(
    tmp_path: Path,
) -> None:
    """What goes on meanwhile ends."""
    dying = "print('why it died'); raise SystemExit(3)"
    with pytest.raises(ExceptionGroup) as caught:
        await outlive(dying, tmp_path / "it.log")
    (error,) = leaves(caught.value)
    assert isinstance(error, DemoError)
    assert "It ended with 3." in str(error)
    assert "why it died" in str(error)


async def outlive(code: str, log: Path) -> None:
    """Start a child, and wait for ever."""
    async with processes.child("It", [sys.executable, "-c", code], log):
        await asyncio.Event().wait()


async def test_a_child_that_does_not_listen_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets its time first."""
    monkeypatch.setattr(processes, "GRACE", 0.2)
    log = tmp_path / "it.log"
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    command = [sys.executable, "-c", f"{deaf}; print('up', flush=True); signal.pause()"]

    async def is_up() -> bool:
        return bool(log.read_text())

    async with processes.child("It", command, log) as child:
        assert await until(is_up, bool, 20)
    assert child.process.returncode == -signal.SIGKILL


async def test_a_child_that_asks_for_it_is_started_again(tmp_path: Path) -> None:
    """Its log goes on; any other end is still its death."""
    log, again = tmp_path / "it.log", tmp_path / "again"
    code = (
        f"import pathlib; file = pathlib.Path({str(again)!r})\n"
        "print('again' if file.exists() else 'first')\n"
        "code = 3 if file.exists() else 100; file.touch(); raise SystemExit(code)"
    )
    with pytest.raises(ExceptionGroup) as caught:
        async with processes.child(
            "It", [sys.executable, "-c", code], log, restart_code=100
        ):
            await asyncio.Event().wait()
    (error,) = leaves(caught.value)
    assert "It ended with 3." in str(error)
    assert log.read_text().split() == ["first", "again"]
