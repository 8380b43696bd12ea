"""The scripts of data_prep are no package; a script's own folder is on its path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "data_prep"))
