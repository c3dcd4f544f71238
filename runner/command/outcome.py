"""How a command that only reads ends."""

from collections.abc import Callable

from runner.command.streams import lasting_streams
from runner.command.terminal import err, tell_problems
from runner.errors import MISTAKES

BAD_REQUEST = 2
INTERRUPTED = 130


@lasting_streams()
def exit_code(command: Callable[[], object]) -> int:
    """Carries out a command: 0; 2 for a mistake, a damaged file or one that cannot be written; 130 for Ctrl-C."""
    try:
        command()
    except (*MISTAKES, OSError) as error:
        tell_problems(error)
        return BAD_REQUEST
    except KeyboardInterrupt:
        err.print("Interrupted.")
        return INTERRUPTED
    return 0
