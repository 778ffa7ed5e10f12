"""The state machine of one account's terminal: pure, with no I/O and no clock but the one passed in."""
