"""Sensors that know nothing."""

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription as Description,
    SensorStateClass,
)
from homeassistant.const import UnitOfTime

from . import setup_of

STATUSES = (
    "connected broker_disconnected disconnected silent reconnecting reconnect_failed never_authenticated "
    "not_deployed not_found quota_exhausted forbidden no_answer no_connection token_refused"
)

async_setup_entry = setup_of(
    SensorEntity,
    Description(
        key="status", device_class=SensorDeviceClass.ENUM, options=STATUSES.split()
    ),
    Description(key="disconnected_since", device_class=SensorDeviceClass.TIMESTAMP),
    Description(
        key="downtime",
        device_class=SensorDeviceClass.DURATION,
        state_class=SensorStateClass.TOTAL_INCREASING,
        native_unit_of_measurement=UnitOfTime.HOURS,
        suggested_display_precision=2,
    ),
)
