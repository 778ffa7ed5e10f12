"""The texts of every language: shaped as Home Assistant reads them, and well formed; English is whole."""

from collections.abc import Iterator
import json
from pathlib import Path
import re
import string
from typing import Any
import unicodedata

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
import voluptuous as vol

from custom_components.metaapi.const import DOMAIN
from homeassistant.const import ATTR_FRIENDLY_NAME
from homeassistant.core import HomeAssistant
from homeassistant.generated.languages import LANGUAGES
from homeassistant.helpers import entity_registry as er, translation
from homeassistant.helpers.translation import async_translate_state
from scripts.languages import lagging, lags, strings

from .conftest import DISCONNECTED, SWING, FakeMonitor, setup_entry
from .flow_support import PACKAGE, TEXTS

FILES = sorted((PACKAGE / "translations").glob("*.json"))
OTHERS = [file.stem for file in FILES if file.stem != "en"]

TEXT = vol.All(str, vol.Length(min=1))
TEXTS_BY_KEY = {vol.Match(r"^[a-z0-9_]+$"): TEXT}
FIELDS: dict[vol.Marker, Any] = {
    vol.Optional("description"): TEXT,
    vol.Optional("data"): TEXTS_BY_KEY,
    vol.Optional("data_description"): TEXTS_BY_KEY,
}
FLOW: dict[vol.Marker, Any] = {
    vol.Optional("step"): {
        str: {
            vol.Optional("title"): TEXT,
            **FIELDS,
            vol.Optional("sections"): {str: {vol.Required("name"): TEXT, **FIELDS}},
            vol.Optional("menu_options"): TEXTS_BY_KEY,
            vol.Optional("submit"): TEXT,
        }
    },
    vol.Optional("error"): TEXTS_BY_KEY,
    vol.Optional("abort"): TEXTS_BY_KEY,
}
DESCRIBED = {
    str: {
        vol.Required("name"): TEXT,
        vol.Required("description"): TEXT,
        vol.Optional("fields"): {
            str: {vol.Required("name"): TEXT, vol.Optional("description"): TEXT}
        },
    }
}
SHAPE = vol.Schema(
    {
        vol.Required("title"): TEXT,
        vol.Optional("common"): TEXTS_BY_KEY,
        vol.Optional("conditions"): DESCRIBED,
        vol.Required("config"): FLOW,
        vol.Optional("config_subentries"): {
            str: {
                **FLOW,
                vol.Required("entry_type"): TEXT,
                vol.Required("initiate_flow"): TEXTS_BY_KEY,
            }
        },
        vol.Optional("entity"): {
            str: {
                str: {
                    vol.Optional("name"): TEXT,
                    vol.Optional("state"): TEXTS_BY_KEY,
                    vol.Optional("state_attributes"): {
                        str: {vol.Required("state"): TEXTS_BY_KEY}
                    },
                }
            }
        },
        vol.Optional("exceptions"): {str: {vol.Required("message"): TEXT}},
        vol.Optional("issues"): {
            str: {
                vol.Required("title"): TEXT,
                vol.Exclusive("description", "kind"): TEXT,
                vol.Exclusive("fix_flow", "kind"): FLOW,
            }
        },
        vol.Optional("selector"): {str: {vol.Required("options"): TEXTS_BY_KEY}},
        vol.Optional("services"): DESCRIBED,
        vol.Optional("system_health"): {vol.Required("info"): TEXTS_BY_KEY},
        vol.Optional("triggers"): DESCRIBED,
    }
)

# What places show on a phone of 390 pixels before they cut a text off or break it, in letters of usual width
PLACES = {
    # half the width, beside an icon
    r"entity\.sensor\.status\.state\.\w+": 20,
    # a row of Activity or of a device's page
    r"entity\.event\.\w+\.state_attributes\.event_type\.state\.\w+": 26,
    r"entity\.\w+\.\w+\.name": 26,
    # a line of the picker
    r"(triggers|conditions|services)\.\w+\.name": 36,
    # the label of a field
    r"(triggers|conditions|services)\.\w+\.fields\.\w+\.name": 44,
    r"config\w*(\.account)?\.step\.\w+(\.sections\.\w+)?\.data\.\w+": 32,
    # the heading of a dialog
    r"config\w*(\.account)?\.step\.\w+\.title": 32,
    r"issues\.\w+\.fix_flow\.step\.\w+\.title": 32,
    # two lines of the list of repairs, with a name
    r"issues\.\w+\.title": 60,
    # a menu
    r"config_subentries\.account\.initiate_flow\.\w+": 20,
    # the title of a push
    r"common\.(account|broker)s?_\w+(?<!_at)": 44,
}

# What the picker of triggers and conditions is searched for
SEARCHED = {
    "de": ("metatrader", "broker", "trading"),
    "en": ("metatrader", "broker", "trading"),
    "es": ("metatrader", "bróker", "trading"),
    "pt-BR": ("metatrader", "corretora", "trading"),
    "ru": ("metatrader", "брокер", "торгов"),
    "zh-Hans": ("metatrader", "经纪商", "交易"),
}

# What stands in a text beside its own words: names, numbers, dates, links and what MetaApi said; no sentence of ours
GIVEN = frozenset(
    [
        "account",
        "accounts",
        "accounts_url",
        "allowed",
        "attempt",
        "attempts",
        "count",
        "day",
        "days",
        "details",
        "duration",
        "entry",
        "error",
        "example",
        "expires",
        "found",
        "hours",
        "login",
        "minutes",
        "month",
        "name",
        "names",
        "outcome",
        "platform",
        "provisioning",
        "region",
        "seconds",
        "server",
        "state",
        "status",
        "streaming",
        "target",
        "targets",
        "time",
        "token_url",
        "type",
        "used",
        "web_app_url",
        "year",
        "zone",
    ]
)

# A sentence, or what ends with a date or a list
SENTENCE = re.compile(r".*([.。!?]|[:\uff1a]\s?\{\w+\})", re.DOTALL)

# Texts that end without a full stop in every language
LABELS = frozenset({"name", "title", "entry_type"})


def complaints(path: str, text: str) -> Iterator[str]:
    """Yield what Home Assistant's own checks would say of a text."""
    if text.strip() != text or "  " in text:
        yield "has spaces too many"
    if "[%" in text:
        yield "refers to another text, which only Home Assistant's own build resolves"
    if re.search(r"[a-z]+://|www\.", text):
        yield "holds a URL, which belongs into a placeholder"
    if re.search(r"</?[a-zA-Z][^>]*>", text):
        yield "holds HTML"
    if re.search(r"'[{}]|[{}]'", text):
        yield "quotes a brace, which keeps a placeholder from its value"
    try:
        fields = list(string.Formatter().parse(text))
    except ValueError:
        yield "has a brace without its other"
    else:
        for _, name, spec, conversion in fields:
            if name is not None and (
                spec or conversion or not re.fullmatch(r"[a-z_]+", name)
            ):
                yield f"has a placeholder that is none: {name!r}"
    if path.rsplit(".", 1)[-1] in LABELS and text.endswith((".", "。")):
        yield "is a label, and ends like a sentence"


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def language(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the texts of a language."""
    texts: dict[str, Any] = json.loads(request.param.read_text(encoding="utf-8"))
    return texts


def test_shape(language: dict[str, Any]) -> None:
    """Nothing stands where Home Assistant would not look for it."""
    assert SHAPE(language) == language


def test_texts_are_well_formed(language: dict[str, Any]) -> None:
    """Every text is what Home Assistant's own checks accept."""
    assert not [
        f"{path} {complaint}: {text}"
        for path, text in strings(language)
        for complaint in complaints(path, text)
    ]


@pytest.mark.parametrize("name", OTHERS)
def test_as_in_english(name: str) -> None:
    """A language that lags is listed: a change needs English alone, a release all of them."""
    if lacks := lagging(PACKAGE / "translations")[name]:
        pytest.skip(f"{name}.json lags, until a release: {'; '.join(lacks)}")


@pytest.mark.parametrize(
    ("translated", "lack"),
    [
        ({"one": "Ein Konto {name}", "two": "Zwei"}, []),
        ({"two": "Zwei"}, ["one is missing"]),
        (
            {"one": "Ein Konto {name}", "two": "Zwei", "old": "Alt"},
            ["old is left over"],
        ),
        ({"one": "An account {name}", "two": "two"}, ["one is not translated"]),
        (
            {"one": "Ein Konto {konto}", "two": "Zwei"},
            ["one has other placeholders, links or code"],
        ),
    ],
)
def test_what_lags(translated: dict[str, str], lack: list[str]) -> None:
    """Each way to lag is told; a single word may be the same, such as a term."""
    assert list(lags(translated, {"one": "An account {name}", "two": "two"})) == lack


def test_terms_and_units_may_be_the_same() -> None:
    """A word alone and values with their units are the same in many languages."""
    same = {"units": "{hours} h {minutes} min", "term": "Status: {status}."}
    assert list(lags(same, same)) == []


async def test_a_language_that_lags_falls_back_to_english(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Home Assistant shows the English text where another is missing or does not fit."""
    states = dict(TEXTS["entity"]["sensor"]["status"]["state"])
    issue, texts = next(
        (key, one) for key, one in TEXTS["issues"].items() if "{" in str(one)
    )

    def load(path: Path) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if path.stem == "de":
            del loaded["entity"]["sensor"]["status"]["state"]["silent"]
            loaded["issues"][issue]["title"] = "{something_else}"
        return loaded

    monkeypatch.setattr(translation, "load_json", load)
    shown = await translation.async_get_translations(hass, "de", "entity", {DOMAIN})
    prefix = f"component.{DOMAIN}.entity.sensor.status.state"
    assert shown[f"{prefix}.silent"] == states["silent"]
    assert shown[f"{prefix}.connected"] != states["connected"]
    shown = await translation.async_get_translations(hass, "de", "issues", {DOMAIN})
    assert shown[f"component.{DOMAIN}.issues.{issue}.title"] == texts["title"]


def width(text: str) -> int:
    """Return how many letters of usual width a text takes, without what its placeholders hold."""
    letters = re.sub(r"\{\w+\}", "", text)
    return sum(1 + (unicodedata.east_asian_width(one) in "WF") for one in letters)


def test_texts_fit_their_places(language: dict[str, Any]) -> None:
    """No text is longer than what its place shows on a phone."""
    texts = dict(strings(language))
    for place, bound in PLACES.items():
        there = {
            path: text for path, text in texts.items() if re.fullmatch(place, path)
        }
        assert there, place
        assert not {
            path: f"{width(text)} > {bound}: {text}"
            for path, text in there.items()
            if width(text) > bound
        }


def test_sentences_have_a_full_stop(language: dict[str, Any]) -> None:
    """What tells or explains something ends like a sentence."""
    assert not {
        path: text
        for path, text in strings(language)
        if re.search(
            r"\.(abort|error|data_description)\.\w+$|\.(description|message)$", path
        )
        and not SENTENCE.fullmatch(text)
    }


def test_errors_hold_no_code(language: dict[str, Any]) -> None:
    """An error is shown as it is: backticks and links would be read out."""
    assert not {
        path: text
        for path, text in strings(language)
        if re.search(r"\.error\.\w+$|\.message$", path) and re.search(r"`|\]\(", text)
    }


def test_placeholders_take_no_sentence(language: dict[str, Any]) -> None:
    """What a text takes in is the same in every language, or a name: never words of ours in another grammar."""
    assert {
        name
        for _, text in strings(language)
        for _, name, _, _ in string.Formatter().parse(text)
        if name
    } == GIVEN


@pytest.mark.parametrize("name", SEARCHED)
def test_pickers_find_triggers_and_conditions(name: str) -> None:
    """Each is found by what traders type, in its name or its description."""
    path = PACKAGE / "translations" / f"{name}.json"
    texts = json.loads(path.read_text(encoding="utf-8"))
    for category in ("triggers", "conditions"):
        for key, one in texts[category].items():
            shown = f"{one['name']} {one['description']}".casefold()
            assert [word for word in SEARCHED[name] if word not in shown] == [], key


def test_every_language_is_searched() -> None:
    """The words that are searched for are known in each language."""
    assert {file.stem for file in FILES} == set(SEARCHED)


def test_names_of_languages() -> None:
    """Home Assistant knows each language by the name of its file."""
    assert {file.stem for file in FILES} <= LANGUAGES
    assert "en" in {file.stem for file in FILES}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Two  spaces", "spaces"),
        ("Ends with one ", "spaces"),
        ("[%key:common::action%]", "refers"),
        ("See https://example.org", "URL"),
        ("See www.example.org", "URL"),
        ("A <b>bold</b> word", "HTML"),
        ("The account '{account}'", "quotes"),
        ("An open {brace", "brace"),
        ("{Account} has a capital", "placeholder"),
        ("{account!r} is converted", "placeholder"),
        ("{} has no name", "placeholder"),
    ],
)
def test_what_is_complained_about(text: str, what: str) -> None:
    """Each of the checks can fail."""
    assert what in " ".join(complaints("error.some", text))


@pytest.mark.parametrize(
    ("language_of_home", "button", "status"),
    [
        ("en", "Reconnect", "Disconnected"),
        ("de", "Neu verbinden", "Terminal getrennt"),
        ("es", "Volver a conectar", "Desconectado"),
        ("pt-BR", "Reconectar", "Desconectado"),
        ("ru", "Переподключить", "Терминал отключён"),
        ("zh-Hans", "重新连接", "终端已断开"),
    ],
)
@pytest.mark.usefixtures("provisioning")
async def test_home_of_a_language(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    language_of_home: str,
    button: str,
    status: str,
) -> None:
    """A home shows names of entities and states in its language."""
    hass.config.language = language_of_home
    await setup_entry(hass, mock_config_entry)
    monitors[-1].push(SWING.account_id, DISCONNECTED)
    await hass.async_block_till_done()

    registry = er.async_get(hass)
    shown = {}
    for domain, key in (("button", "reconnect"), ("sensor", "status")):
        entity_id = registry.async_get_entity_id(
            domain, DOMAIN, f"{SWING.account_id}_{key}"
        )
        assert entity_id is not None
        shown[domain] = hass.states.get(entity_id)
    assert shown["button"] is not None
    assert shown["sensor"] is not None
    assert shown["button"].attributes[ATTR_FRIENDLY_NAME] == f"Swing {button}"
    assert status == async_translate_state(
        hass, shown["sensor"].state, "sensor", DOMAIN, "status", None
    )
