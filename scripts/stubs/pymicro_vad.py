"""Stand in for a voice library that has no wheel: the demo listens to nobody."""


class MicroVad:
    """Hear no speech, ever."""

    def Process10ms(self, audio: bytes) -> float:
        """Return the probability of speech."""
        return 0.0
