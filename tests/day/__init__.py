"""Test a whole day of faults in a Home Assistant with a simulated clock."""
