"""What torch.load may rebuild from fairseq's checkpoints: plain containers, nothing that runs.

fairseq pickles its configuration into checkpoints and, with several processes, sends it to the
other ranks the same way. torch.load refuses classes that it does not know; naming these few
keeps it safe, where switching the check off would not.
"""

import argparse
import collections
import typing

import omegaconf
import torch
from fairseq.distributed.utils import _TensorPlaceholder

torch.serialization.add_safe_globals(
    [
        argparse.Namespace,
        _TensorPlaceholder,
        collections.defaultdict,
        dict,
        int,
        list,
        omegaconf.DictConfig,
        omegaconf.ListConfig,
        omegaconf.base.ContainerMetadata,
        omegaconf.base.Metadata,
        omegaconf.nodes.AnyNode,
        typing.Any,
    ]
)
