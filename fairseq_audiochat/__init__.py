"""AudioChatLlama (arXiv 2311.06753) as a fairseq extension.

Importing the package registers its tasks, models and criterions, whether fairseq does it
(``--user-dir``) or a program (``import fairseq_audiochat``).
"""

import argparse

import omegaconf
import torch

from fairseq_audiochat import criterions, models, tasks

# What fairseq pickles into its own checkpoints. torch.load stays safe: these are plain
# containers, and nothing else is allowed.
torch.serialization.add_safe_globals([argparse.Namespace, omegaconf.DictConfig])

__all__ = ["criterions", "models", "tasks"]
__version__ = "0.1.0"
