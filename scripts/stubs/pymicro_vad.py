"""Stand in for a voice library that has no wheel: the demo has no microphone."""


class MicroVad:
    """Detect no speech."""

    def Process10ms(self, audio: bytes) -> float:
        """Return the probability of speech."""
        return 0.0
