"""What the commands of the ingest and of the reports share; it imports no command.

This module runs a command and ends it: each error becomes a message and an exit code, and a signal an error.
Shared options are in `commandline.options`, printing is in `commandline.output`.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from io import UnsupportedOperation
from types import FrameType

import click

from commandline.output import complain, forget_database, show_escapes
from ingest.disk_space import what_makes_room
from ingest.errors import DatabaseBusy, NoDatabase, OutputLost, TokentailError, UsageMistake

EXIT_TROUBLE = 1
EXIT_USAGE = 2
EXIT_BUSY = 75
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class Terminated(BaseException):
    """The process was asked to end (SIGTERM); raised so that everything is closed on the way out."""


def run(program: click.Command) -> int:
    """Run a program with the arguments of this process; print its errors, and return the exit code."""
    show_escapes()
    forget_database()
    try:
        result = program.main(prog_name="tokentail", standalone_mode=False)
        _flush()
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        if context is not None and context.obj is not None and (mistake := context.obj.mistake(error)):
            complain(mistake)
        else:
            error.show()
        return error.exit_code
    except TokentailError as error:
        if isinstance(error, OutputLost):
            _discard_output()
        _complain_of(error)
        return exit_code_of(error)
    except (KeyboardInterrupt, click.Abort, Terminated) as error:
        return _ended(error)
    except RuntimeError as error:  # Python 3.11 wraps what a signal raises while a class is made
        if not isinstance(error.__cause__, KeyboardInterrupt | Terminated):
            raise
        return _ended(error.__cause__)
    except BrokenPipeError:  # `| head` has seen enough
        _discard_output()
        return EXIT_TROUBLE
    except OSError as error:
        _discard_output()
        complain(_trouble(error))
        return EXIT_TROUBLE
    return result if isinstance(result, int) else 0


def _complain_of(error: TokentailError) -> None:
    complain(str(error))
    if isinstance(error, NoDatabase):
        from commandline.options import other_database  # noqa: PLC0415 - no other error needs it

        if other := other_database():
            complain(other)


def _ended(signalled: BaseException) -> int:
    """Return the exit code for a signal; after Ctrl-C or SIGHUP, say that nothing is lost."""
    if isinstance(signalled, Terminated):
        return EXIT_TERMINATED
    click.echo("tokentail: interrupted; nothing is lost, the next run goes on from here", err=True)
    return EXIT_INTERRUPTED


def _trouble(error: OSError) -> str:
    """Say what the operating system refused, of which file, and what to do."""
    try:
        os.getcwd()
    except OSError:
        return "the folder in which this was started is gone: change to another one"
    reason = error.strerror or type(error).__name__
    what = f"{os.fsdecode(error.filename)}: {reason}" if error.filename else reason
    if (advice := what_makes_room(error)) is not None:
        return f"{what}: {advice}, and run the command again"
    if error.filename is None and "temporary" in reason:
        return f"{what}: set TMPDIR to a folder that may be written"
    return f"{what}: mend that, and run the command again"


def _flush() -> None:
    if sys.stdout is not None:  # None: closed by whoever started us
        sys.stdout.flush()


def _discard_output() -> None:
    """Point standard output at the null device, so that Python's flush at exit can't fail."""
    if sys.stdout is not None:
        with suppress(UnsupportedOperation):  # a stream without a file descriptor
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of an error."""
    match error:
        case click.ClickException():
            return error.exit_code
        case UsageMistake():
            return EXIT_USAGE
        case DatabaseBusy():
            return EXIT_BUSY
        case KeyboardInterrupt() | click.Abort():
            return EXIT_INTERRUPTED
        case Terminated():
            return EXIT_TERMINATED
    return EXIT_TROUBLE


def raise_on_signals() -> None:
    """Let SIGTERM and SIGHUP end the command as cleanly as Ctrl-C does."""

    def terminate(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise Terminated

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminate)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, interrupt)
