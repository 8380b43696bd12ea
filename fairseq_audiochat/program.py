"""How the package's programs end, and what stays unsaid while they run. Knows none of them."""

import logging
import sys
import warnings
from collections.abc import Callable


def exit_code(
    program: Callable[[], int | None], *, unsaid: int = logging.WARNING, stopped: str = "stopped"
) -> int:
    """Run a program; gives its exit code. A user's mistake ends in one sentence.

    Args:
        program: Gives its exit code, or None for 0.
        unsaid: The highest level of what fairseq, transformers and others log that is not shown.
        stopped: What to say after Ctrl-C.
    """
    logging.disable(unsaid)
    try:
        with warnings.catch_warnings(action="ignore"):
            return program() or 0
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(stopped, file=sys.stderr)
        return 130
    finally:
        logging.disable(logging.NOTSET)
