"""An utterance's features: its recording's filterbanks, or an array that was stored.

Knows neither augmentation nor batches.
"""

import io

import numpy as np

from fairseq_audiochat.data.audio import read_audio, read_bytes
from fairseq_audiochat.data.distortion.distortion import Distortion
from fairseq_audiochat.data.fbank import NUM_MEL_BINS, Features, fbank
from fairseq_audiochat.data.manifest import Utterance

_NUMPY_MAGIC = b"\x93NUMPY"


def read_features(utterance: Utterance, distortion: Distortion | None = None) -> Features:
    """The features of an utterance's recording, float32 ``(T, 80)``.

    A ``.npy`` content (fairseq's feature archives hold them) is taken as it is.

    Args:
        utterance: What to read.
        distortion: What is done to the recording first.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If the audio is broken, too short, or the array has another shape; or if
            stored features are to be distorted.
    """
    name = f"{utterance.audio} (utterance {utterance.id!r})"
    try:
        content = read_bytes(utterance.audio)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error} (utterance {utterance.id!r})") from error
    if not content.startswith(_NUMPY_MAGIC):
        waveform = read_audio(content, name)
        return fbank(waveform if distortion is None else distortion(waveform, utterance.id), name)
    if distortion is not None and distortion.effects:
        raise ValueError(
            f"{name}: what is distorted must be a recording, but these are features; give a "
            "manifest of recordings."
        )
    try:
        features = np.load(io.BytesIO(content), allow_pickle=False).astype(np.float32)
    except ValueError as error:  # truncated, or objects
        raise ValueError(f"{name}: features must be a whole array, but: {error}.") from error
    if features.ndim != 2 or features.shape[1] != NUM_MEL_BINS or len(features) == 0:
        raise ValueError(
            f"{name}: features must have shape (frames, {NUM_MEL_BINS}), but have {features.shape}."
        )
    if not np.isfinite(features).all():
        bad = int((~np.isfinite(features)).sum())
        raise ValueError(f"{name}: features must be finite, but {bad} are NaN or infinite.")
    return features
