"""AudioChatLlama (arXiv 2311.06753) as a fairseq extension.

Importing the package registers its tasks, models and criterions, whether fairseq does it
(``--user-dir``) or a program (``import fairseq_audiochat``).
"""

from fairseq_audiochat import (
    criterions,
    folder_loading,
    launch,
    models,
    safe_loading,
    saving,
    tasks,
)

__all__ = ["criterions", "folder_loading", "launch", "models", "safe_loading", "saving", "tasks"]
__version__ = "0.1.0"
