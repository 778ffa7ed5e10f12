"""What an answer to a subscribe says about the terminal."""

from enum import Enum


class Evidence(Enum):
    """What to make of an answer, or of none, when a subscribe round is judged."""

    ACCEPTED = "the subscribe was taken, and the terminal is awaited"
    AWAY = "the terminal, or its broker, did not answer MetaApi"
    INVALID = "none of the user's accounts is deployed, as far as this server knows"
    NOTHING = "no answer"
    FAULT = "a fault of MetaApi's or ours: the round begins anew"
