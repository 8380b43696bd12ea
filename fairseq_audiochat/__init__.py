"""AudioChatLlama (arXiv 2311.06753) as a fairseq extension.

Importing the package registers its tasks, models and criterions, whether fairseq does it
(``--user-dir``) or a program (``import fairseq_audiochat``). `AudioChat`, what a program talks to
a trained model with, is imported where it is first asked for.
"""

from typing import TYPE_CHECKING, Any

from fairseq_audiochat import (
    criterions,
    folder_loading,
    launch,
    models,
    safe_loading,
    saving,
    tasks,
)

if TYPE_CHECKING:
    from fairseq_audiochat.chat.audio_chat import AudioChat

__all__ = [
    "AudioChat",
    "criterions",
    "folder_loading",
    "launch",
    "models",
    "safe_loading",
    "saving",
    "tasks",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """What is too much for every training to import."""
    if name == "AudioChat":
        from fairseq_audiochat.chat.audio_chat import AudioChat

        return AudioChat
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
