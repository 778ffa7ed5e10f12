"""The room of one account's state machine."""
