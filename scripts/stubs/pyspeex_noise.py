"""A stub of a voice library that has no wheel; the demo has no microphone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ProcessedAudio:
    """The result type of the real library."""

    audio: bytes


class AudioProcessor:
    """Returns audio unchanged."""

    def __init__(self, auto_gain: float, noise_suppression: int) -> None:
        """Ignore the settings of the real library."""

    def Process10ms(self, audio: bytes) -> ProcessedAudio:
        """Return the audio unchanged."""
        return ProcessedAudio(audio)
