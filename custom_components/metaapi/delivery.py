"""The action `metaapi.notify`: a message to everybody who can be reached."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any

import voluptuous as vol

from homeassistant.auth.permissions.const import POLICY_CONTROL
from homeassistant.components import persistent_notification
from homeassistant.config_entries import ConfigEntry
from homeassistant.const import ATTR_ENTITY_ID, STATE_UNAVAILABLE
from homeassistant.core import (
    Context,
    HomeAssistant,
    ServiceCall,
    ServiceResponse,
    SupportsResponse,
    callback,
)
from homeassistant.exceptions import Unauthorized
from homeassistant.helpers import (
    config_validation as cv,
    device_registry as dr,
    entity_registry as er,
)
from homeassistant.util import slugify

from .const import DOMAIN, LOGGER, SERVICE_NOTIFY
from .messages import Composer, async_get_composer
from .services import async_restricted_caller

NOTIFY = "notify"
"""The domain of Home Assistant's own actions and entities that deliver."""
MOBILE_APP = "mobile_app"
TIMEOUT = 15
"""Seconds for each target."""
TEST_TAG = f"{DOMAIN}_test"


class Wake(StrEnum):
    """How hard a phone tries to be noticed."""

    PASSIVE = "passive"
    NORMAL = "normal"
    TIME_SENSITIVE = "time_sensitive"
    CRITICAL = "critical"


def _wake(value: object) -> Wake:
    """Return how to wake; templates of blueprints make booleans."""
    if value in (False, None, ""):
        return Wake.NORMAL
    return Wake.CRITICAL if value is True else Wake(str(value))


NOTIFY_SCHEMA = vol.Schema(
    {
        vol.Optional("devices", default=[]): vol.All(cv.ensure_list, [cv.string]),
        vol.Optional("entities", default=[]): vol.All(cv.ensure_list, [cv.string]),
        vol.Optional("title"): vol.Any(None, cv.string),
        vol.Optional("message", default=""): cv.string,
        vol.Optional("tag"): vol.Any(None, cv.string),
        vol.Optional("wake", default=False): _wake,
        vol.Optional("actions", default=[]): vol.All(cv.ensure_list, [dict]),
        vol.Optional("url"): vol.Any(None, cv.string),
        vol.Optional("test", default=False): cv.boolean,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is delivered."""

    title: str | None
    message: str
    data: Mapping[str, Any]
    """What phones need besides: of Android and iOS together, each ignores what is the other's."""


class DeliveryError(Exception):
    """A target that could not be reached: the key of the text that says why, and what it is about."""

    def __init__(self, key: str, name: str) -> None:
        """Take the key of the text, and its placeholder."""
        super().__init__(key, name)
        self.key = key
        self.name = name


@callback
def async_setup_delivery(hass: HomeAssistant) -> None:
    """Register the action."""
    hass.services.async_register(
        DOMAIN,
        SERVICE_NOTIFY,
        _async_handle_notify,
        schema=NOTIFY_SCHEMA,
        supports_response=SupportsResponse.OPTIONAL,
    )


async def _async_handle_notify(call: ServiceCall) -> ServiceResponse:
    """Deliver a message to each target, all at once, and answer who could not be reached."""
    hass, data = call.hass, call.data
    test: bool = data["test"]
    composer = async_get_composer(hass)
    title: str | None = composer.text("test_title") if test else data.get("title")
    text: str = composer.text("test_message") if test else data["message"]
    tag = TEST_TAG if test else data.get("tag")
    message = Message(title=title, message=text, data=_phone_data(data, tag))
    delivery = _Delivery(hass, call.context, composer, message)
    await _async_check_caller(call, delivery)
    entity_ids = list(data["entities"])
    if test:
        # a phone's own action does not tell of a push that its server refused
        for device_id in data["devices"]:
            entity_ids += delivery.entities_of(device_id)
    await asyncio.gather(
        *(
            delivery.async_to_phone(device_id, by_entity=not test)
            for device_id in dict.fromkeys(data["devices"])
        ),
        *map(delivery.async_to_entity, dict.fromkeys(entity_ids)),
    )
    for target, error in delivery.failed.items():
        LOGGER.warning("Could not deliver a message to %s: %s", target, error)
    if test:
        _async_show_test(hass, composer, len(delivery.sent), delivery.failed)
    if not call.return_response:
        return None
    response: dict[str, Any] = {
        "sent": delivery.sent,
        "failed": [
            {"target": target, "error": error}
            for target, error in delivery.failed.items()
        ],
    }
    if test:
        response |= {"title": title, "message": text}
    return response


async def _async_check_caller(call: ServiceCall, delivery: _Delivery) -> None:
    """Raise Unauthorized unless the caller may control every target, as an action of notify entities does.

    A phone's own action, which can wake, is open to everybody in Home Assistant; ours is not.
    """
    if (user := await async_restricted_caller(call)) is None:
        return
    permissions = user.permissions
    for device_id in call.data["devices"]:
        if not delivery.entities_of(device_id) and not (
            permissions.access_all_entities(POLICY_CONTROL)
        ):
            raise Unauthorized(context=call.context, permission=POLICY_CONTROL)
    for entity_id in (
        *call.data["entities"],
        *chain.from_iterable(map(delivery.entities_of, call.data["devices"])),
    ):
        if not permissions.check_entity(entity_id, POLICY_CONTROL):
            raise Unauthorized(
                context=call.context, entity_id=entity_id, permission=POLICY_CONTROL
            )


def _phone_data(data: Mapping[str, Any], tag: str | None) -> dict[str, Any]:
    """Return what the app needs to show a message as it should."""
    wake: Wake = data["wake"]
    pushes: dict[Wake, dict[str, Any]] = {
        Wake.PASSIVE: {"interruption-level": "passive"},
        Wake.NORMAL: {},
        Wake.TIME_SENSITIVE: {"interruption-level": "time-sensitive"},
        Wake.CRITICAL: {
            "interruption-level": "critical",
            "sound": {"name": "default", "critical": 1, "volume": 1.0},
        },
    }
    phones: dict[Wake, dict[str, Any]] = {
        Wake.PASSIVE: {"alert_once": True},
        Wake.NORMAL: {},
        Wake.TIME_SENSITIVE: {"ttl": 0, "priority": "high"},
        Wake.CRITICAL: {"ttl": 0, "priority": "high", "channel": "alarm_stream"},
    }
    phone = phones[wake]
    if pushes[wake]:
        phone["push"] = pushes[wake]
    if tag:
        phone["tag"] = tag
    if data["actions"]:
        phone["actions"] = list(data["actions"])
    if url := data.get("url"):
        phone |= {"url": url, "clickAction": url}
    return {**phone, "group": DOMAIN}


@callback
def _async_show_test(
    hass: HomeAssistant, composer: Composer, sent: int, failed: Mapping[str, str]
) -> None:
    """Show who could not be reached, where no phone is needed to see it."""
    if not sent and not failed:
        text = composer.text("test_nobody")
    elif failed:
        text = "\n".join(
            composer.text("test_not_reached", targets=f"{_name(hass, one)}: {error}")
            for one, error in failed.items()
        )
    else:
        text = composer.text("test_reached", count=sent)
    persistent_notification.async_create(
        hass, text, composer.text("test_title"), TEST_TAG
    )


def _name(hass: HomeAssistant, target: str) -> str:
    """Return how a person knows a target."""
    device = dr.async_get(hass).async_get(target)
    if device is None:
        return target
    return device.name_by_user or device.name or target


class _Delivery:
    """Delivers one message, and keeps who got it."""

    def __init__(
        self,
        hass: HomeAssistant,
        context: Context,
        composer: Composer,
        message: Message,
    ) -> None:
        """Take what to deliver, on whose behalf, and what says why that failed."""
        self._hass = hass
        self._context = context
        self._composer = composer
        self._message = message
        self.sent: list[str] = []
        self.failed: dict[str, str] = {}

    def entities_of(self, device_id: str) -> list[str]:
        """Return the notify entities of a phone."""
        entities = er.async_entries_for_device(er.async_get(self._hass), device_id)
        return [
            entity.entity_id
            for entity in entities
            if entity.domain == NOTIFY and entity.platform == MOBILE_APP
        ]

    async def async_to_phone(self, device_id: str, *, by_entity: bool) -> None:
        """Deliver to a phone by its own action, which alone can wake; else by its notify entity."""
        if await self._async_try(device_id, self._async_by_action(device_id)):
            return
        for entity_id in self.entities_of(device_id)[:1] if by_entity else ():
            await self.async_to_entity(entity_id)
            if entity_id in self.sent:
                instead = self._composer.text("delivery_by_entity", name=entity_id)
                self.failed[device_id] += f"; {instead}"

    async def async_to_entity(self, entity_id: str) -> None:
        """Deliver to a notify entity."""
        await self._async_try(entity_id, self._async_by_entity(entity_id))

    async def _async_try(self, target: str, delivering: Awaitable[None]) -> bool:
        """Return whether a target was reached; nothing may keep the others from theirs."""
        try:
            await delivering
        except TimeoutError:
            self.failed[target] = self._composer.text(
                "delivery_timeout", seconds=TIMEOUT
            )
        except DeliveryError as err:
            self.failed[target] = self._composer.text(err.key, name=err.name)
        except Exception as err:  # noqa: BLE001  # whatever another integration raises
            self.failed[target] = f"{type(err).__name__}: {err}"
        else:
            self.sent.append(target)
        return target not in self.failed

    async def _async_by_entity(self, entity_id: str) -> None:
        """Send by a notify entity; Home Assistant passes over one that is not there."""
        if not entity_id.startswith(f"{NOTIFY}."):
            raise DeliveryError("delivery_no_notify_entity", entity_id)
        state = self._hass.states.get(entity_id)
        if state is None:
            raise DeliveryError("delivery_no_entity", entity_id)
        if state.state == STATE_UNAVAILABLE:
            raise DeliveryError("delivery_unavailable", entity_id)
        await self._async_call(
            "send_message", {ATTR_ENTITY_ID: entity_id, **self._text()}
        )

    def _phone(self, device_id: str) -> ConfigEntry:
        """Return the entry of a phone."""
        device = dr.async_get(self._hass).async_get(device_id)
        if device is None:
            raise DeliveryError("delivery_no_device", device_id)
        entry = self._hass.config_entries.async_get_entry(device.config_entry_id or "")
        if entry is None or entry.domain != MOBILE_APP:
            raise DeliveryError("delivery_no_phone", device.name or device_id)
        return entry

    async def _async_by_action(self, device_id: str) -> None:
        """Call a phone's own action."""
        entry = self._phone(device_id)
        action = _action(entry)
        namesakes = [
            other
            for other in self._hass.config_entries.async_entries(MOBILE_APP)
            if _action(other) == action
        ]
        if len(namesakes) > 1:
            # Home Assistant keeps one action for both; the general one takes a phone
            action = MOBILE_APP
            if any(
                _action(other) == MOBILE_APP
                for other in self._hass.config_entries.async_entries(MOBILE_APP)
            ):
                raise DeliveryError("delivery_two_phones", entry.title)
        if not self._hass.services.has_service(NOTIFY, action):
            raise DeliveryError("delivery_no_action", f"{NOTIFY}.{action}")
        await self._async_call(
            action,
            {
                **self._text(),
                "data": dict(self._message.data),
                "target": [entry.data["webhook_id"]],
            },
        )

    def _text(self) -> dict[str, str]:
        """Return what every target gets."""
        text = {"message": self._message.message}
        if self._message.title:
            text["title"] = self._message.title
        return text

    async def _async_call(self, action: str, data: dict[str, Any]) -> None:
        """Call one of Home Assistant's actions that deliver."""
        async with asyncio.timeout(TIMEOUT):
            await self._hass.services.async_call(
                NOTIFY, action, data, blocking=True, context=self._context
            )


def _action(entry: ConfigEntry) -> str:
    """Return the name of a phone's own action."""
    return slugify(f"{MOBILE_APP}_{entry.data.get('device_name')}")
