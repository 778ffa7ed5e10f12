"""Binary sensors that know nothing; one of them is the hub's."""

from homeassistant.components.binary_sensor import (
    BinarySensorDeviceClass,
    BinarySensorEntity,
    BinarySensorEntityDescription as Description,
)
from homeassistant.const import EntityCategory

from . import setup_of

LINK = BinarySensorDeviceClass.CONNECTIVITY
DIAGNOSTIC = EntityCategory.DIAGNOSTIC

async_setup_entry = setup_of(
    BinarySensorEntity,
    Description(key="link", device_class=LINK, entity_category=DIAGNOSTIC),
    Description(key="terminal", device_class=LINK),
    Description(key="broker", device_class=LINK, entity_category=DIAGNOSTIC),
    hub=True,
)
