"""What a recording sounds like to the LLM: the tokens whose embeddings its audio is nearest to.

There is no transcript to compare with, so the rows of the picture are those nearest tokens, in the
order in which they are heard (the paper's Figure 3 has the transcript's). Knows no page.
"""

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_audiochat.chat.audio_chat import AudioChat
from fairseq_audiochat.chat.audio_content import read_clip
from fairseq_audiochat.data.fbank import FRAMES_PER_SECOND, Features
from fairseq_audiochat.data.padding import pad_features
from fairseq_audiochat.evaluate.alignment.audio_text import AudioText
from fairseq_audiochat.evaluate.alignment.heat_map import HeatMap, draw_heat_map
from fairseq_audiochat.evaluate.alignment.token_labels import token_labels
from fairseq_audiochat.evaluate.figure import pyplot

_TITLE = "what the LLM hears: cosines of the audio and its nearest tokens"


class Hearing:
    """Draws recordings.

    Args:
        chat: The model that listens.

    Raises:
        ModuleNotFoundError: If the extra is not installed.
    """

    def __init__(self, chat: AudioChat) -> None:
        pyplot()
        self._template = chat.task.template
        self._audio_text = AudioText(chat.model, self._template, k=1)

    def draw(self, path: str) -> Any:
        """The picture of a recording that was answered, as Pillow has it."""
        from PIL import Image

        features = read_clip(Path(path).read_bytes(), Path(path).name, max_seconds=None)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "heard.png"
            draw_heat_map(self.heat_map(features), file)
            return Image.open(io.BytesIO(file.read_bytes()))

    def heat_map(self, features: Features) -> HeatMap:
        """The cosines of a recording ``(T, 80)`` and the tokens that it is nearest to."""
        clips, lengths = pad_features([features])
        (heard,) = self._audio_text.hear(clips, lengths)
        nearest = heard.nearest[:, 0]
        is_new = np.concatenate(([True], nearest[1:] != nearest[:-1]))
        ids = nearest[is_new].tolist()
        return HeatMap(
            _TITLE,
            token_labels(self._template, ids),
            self._audio_text.cosines(ids, heard),
            self._audio_text.seconds_per_position,
            len(features) / FRAMES_PER_SECOND,
        )
