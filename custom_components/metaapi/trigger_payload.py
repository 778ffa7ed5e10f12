"""What the action of a trigger finds in `trigger`."""

from collections.abc import Sequence
from typing import Any

from homeassistant.const import ATTR_DEVICE_ID, ATTR_ENTITY_ID

from .api import Status
from .const import DOMAIN, RECONNECT_ACTION
from .device import async_get_device
from .messages import Composer, Phase, Told, async_get_composer
from .outages import Facet
from .trigger_subject import Subject


def trigger_payload(
    subject: Subject,
    phase: Phase,
    told: Sequence[Told],
    *,
    delayed: bool,
    at_start: bool,
    already: bool,
) -> dict[str, Any]:
    """Return what is told of accounts; `delayed` by a quiet time."""
    composer = async_get_composer(subject.hass)
    states = [one.record.facets[subject.facet] for one in told]
    devices = [
        device.id
        for one in told
        if (device := async_get_device(subject.hass, one.entry, one.account_id))
    ]
    entities = [
        entity_id for one in told if (entity_id := subject.entity_id(one.account_id))
    ]
    first = told[0]
    tag, cleared = _tags(subject, phase, told)
    return {
        ATTR_ENTITY_ID: entities[0] if len(entities) == 1 else entities,
        ATTR_DEVICE_ID: devices[0] if len(devices) == 1 else devices,
        "account": composer.names([composer.name(one) for one in told]),
        "accounts": [composer.name(one) for one in told],
        "phase": phase.value,
        "since": min((one.since for one in states if one.since), default=None),
        "duration": max(one.lasted() for one in states),
        "status": first.record.status and first.record.status.value,
        "reason": composer.reason(first, phase),
        "attempts": first.record.attempts,
        "title": composer.title(subject.facet, phase, told),
        "message": composer.message(subject.facet, phase, told),
        "urgency": _urgency(phase, told, delayed=delayed),
        "tag": tag,
        "cleared": cleared,
        "actions": _actions(subject, composer, phase, told, devices),
        "for": subject.options.duration,
        "at_start": at_start,
        "already": already,
    }


def _urgency(phase: Phase, told: Sequence[Told], *, delayed: bool) -> str:
    """Return how much a person has to be told: nothing that goes on by itself wakes anybody."""
    if phase is Phase.BACK:
        return "normal"
    follows = any(one.next_attempt for one in told)
    urgent = {
        Phase.LOST: True,
        Phase.RECONNECT_DUE: delayed,
        Phase.RECONNECT_FAILED: not follows,
    }[phase]
    return "urgent" if urgent else "passive"


def _actions(
    subject: Subject,
    composer: Composer,
    phase: Phase,
    told: Sequence[Told],
    devices: Sequence[str],
) -> list[dict[str, str]]:
    """Return the buttons of a message: one that reconnects, where that can help."""
    if (
        subject.facet is not Facet.TERMINAL
        or phase not in (Phase.LOST, Phase.RECONNECT_FAILED)
        or len(told) > 1
        or told[0].record.status is Status.NOT_DEPLOYED
    ):
        return []
    return [
        {"action": f"{RECONNECT_ACTION}{device_id}", "title": composer.reconnect}
        for device_id in devices
    ]


def _tags(
    subject: Subject, phase: Phase, told: Sequence[Told]
) -> tuple[str, list[str]]:
    """Return the tag of a message, and those whose messages are over."""
    suffix = "" if subject.facet is Facet.TERMINAL else f"_{subject.facet}"
    many = f"{DOMAIN}_many{suffix}"
    tag = many if len(told) > 1 else f"{DOMAIN}_{told[0].account_id}{suffix}"
    states = [one.record.facets[subject.facet] for one in told]
    if phase is not Phase.BACK:
        for state in states:
            state.tags |= {tag}
        return tag, []
    over = {tag}.union(*(state.tags for state in states))
    for account_id in subject.target.accounts:
        state = subject.state(account_id)
        if state.last is False:
            over -= state.tags
    return many if many in over else tag, sorted(over)
