"""A day of faults in a Home Assistant whose clock leaps."""
