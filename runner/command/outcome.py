"""How a command that only reads ends."""

import argparse
from collections.abc import Callable, Sequence

from runner.command.plugins import plugins
from runner.command.streams import lasting_streams
from runner.command.terminal import err, tell_problems
from runner.errors import MISTAKES

BAD_REQUEST = 2
INTERRUPTED = 130


@lasting_streams()
def exit_code(command: Callable[[], object], plugin: Sequence[str] = ()) -> int:
    """Carries out a command: 0; 2 for a mistake, a damaged file or one that cannot be written; 130 for Ctrl-C.

    Args:
        command: What to do.
        plugin: Modules with options of the user's own.
    """
    try:
        with plugins(plugin):
            command()
    except (*MISTAKES, OSError) as error:
        tell_problems(error)
        return BAD_REQUEST
    except KeyboardInterrupt:
        err.print("Interrupted.")
        return INTERRUPTED
    return 0


def add_plugin(parser: argparse.ArgumentParser) -> None:
    """Gives a command the option --plugin."""
    told = "a module or .py file with options of your own; again for another"
    parser.add_argument("--plugin", action="append", default=[], metavar="MODULE", help=told)
