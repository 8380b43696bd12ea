"""From the options to the chunks in which the encoder takes long recordings. Registers nothing."""

from typing import Optional

from fairseq_audiochat.data.fbank import FRAMES_PER_SECOND
from fairseq_audiochat.modules.chunks import Chunks
from fairseq_audiochat.modules.subsampling import FRAMES_PER_ENCODER_FRAME


def chunks_of_seconds(seconds: Optional[float], overlap_seconds: float) -> Optional[Chunks]:
    """The chunks for ``--chunk-seconds`` and ``--chunk-overlap-seconds``; None for none.

    Raises:
        ValueError: If a chunk has no frame, or the overlap leaves nothing of it.
    """
    if seconds is None:
        return None
    frames, overlap = encoder_frames(seconds), encoder_frames(overlap_seconds)
    if frames < 1:
        raise ValueError(
            f"--chunk-seconds must be at least {FRAMES_PER_ENCODER_FRAME / FRAMES_PER_SECOND:g} "
            f"(a frame of the encoder), but is {seconds:g}."
        )
    if not 0 <= overlap < frames:
        raise ValueError(
            "--chunk-overlap-seconds must be from 0 to less than --chunk-seconds "
            f"{seconds:g}, but is {overlap_seconds:g}."
        )
    return Chunks(frames, overlap)


def encoder_frames(seconds: float) -> int:
    """Encoder frames in so many seconds, the nearest number."""
    return round(seconds * FRAMES_PER_SECOND / FRAMES_PER_ENCODER_FRAME)
