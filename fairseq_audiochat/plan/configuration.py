"""A training's configuration from what its command would be given. Starts nothing.

Knows the two ways that fairseq is configured, and none of its options.
"""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from fairseq import options
from fairseq.dataclass.initialize import add_defaults, hydra_init
from fairseq.dataclass.utils import convert_namespace_to_omegaconf, omegaconf_no_object_check
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException


def from_hydra(folder: Path, name: str, overrides: Sequence[str]) -> DictConfig:
    """As ``fairseq-hydra-train --config-dir FOLDER --config-name NAME OVERRIDES`` has it.

    Raises:
        ValueError: If there is no such file, or something in it or in an override is no option.
    """
    path = folder / f"{name}.yaml"
    if not path.is_file():  # Hydra would take fairseq's defaults
        raise ValueError(
            f"{path}: the file must exist, but does not; check --config-dir and --config-name."
        )
    hydra_init(name)
    try:
        with (
            warnings.catch_warnings(),  # on how fairseq uses Hydra
            initialize_config_dir(os.path.abspath(folder), version_base="1.1"),
        ):
            warnings.simplefilter("ignore")
            cfg = compose(name, list(overrides))
        add_defaults(cfg)
        with omegaconf_no_object_check():
            plain = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
            return DictConfig(plain)
    except (HydraException, OmegaConfBaseException) as error:
        first = str(error).splitlines()[0]
        raise ValueError(
            f"{path}: the file and the overrides must be what fairseq-hydra-train "
            f"takes, but: {first}"
        ) from error


def from_flags(flags: Sequence[str]) -> DictConfig:
    """As ``fairseq-train FLAGS`` has it; an unknown flag ends the program, as it ends fairseq's."""
    parser = options.get_training_parser()
    return convert_namespace_to_omegaconf(options.parse_args_and_arch(parser, list(flags)))
