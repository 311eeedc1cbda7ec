"""`priorline` and `python -m priorline`: the command line and the window meet only here."""

import sys
from typing import cast

from priorline.cli.app import main as run_command_line
from priorline.cli.context import Desk
from priorline.work.own_process import crash_in_silence


def load_desk() -> Desk:
    """The window, imported only when it is opened."""
    from priorline.desk import main as desk

    return cast("Desk", desk)


def main() -> None:
    """Entry point; exits with the command's code."""
    crash_in_silence()
    sys.exit(run_command_line(sys.argv[1:], load_desk))


if __name__ == "__main__":
    main()
