"""Entry point of ``sweep``: the commands, and what an error looks like from outside (design 3.7)."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from sweep.cli import machine, plugins, prepare, report, results, run, space, upkeep
from sweep.cli.output import complain
from sweep.errors import SweepError
from trainers.errors import TrainerError

INTERRUPTED = 130
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        sys.stdout.write(f"noisegrid {version('noisegrid')}\n")
        raise typer.Exit(0)


app = typer.Typer(
    name="sweep",
    help="What does low-quality training data do to a probabilistic model? Plan, run, resume and report sweeps.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    pass


for module in (space, run, results, upkeep, report, plugins, prepare, machine):
    module.register(app)

#: The base of typer's own complaints about options; the class moved between releases.
_UsageProblem = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def run_app(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an expected error has been said on standard error."""
    from reports.errors import ReportError

    try:
        code = app(args=None if arguments is None else list(arguments), prog_name="sweep", standalone_mode=False)
        sys.stdout.flush()
    except SweepError as error:
        complain(str(error))
        return error.exit_code
    except TrainerError as error:
        complain(str(error))
        return 2
    except ReportError as error:
        complain(str(error))
        return 3
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # `sweep plan --json | head`: whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except _UsageProblem as error:  # type: ignore[misc]
        if arguments_missing(error):
            sys.stderr.write(f"{error.format_message()}\n")
        else:
            complain(error.format_message())
        return 2
    except OSError as error:
        if error.errno not in DISK:
            raise
        complain(f"{error.strerror}: {error.filename or 'standard output'}")
        return 3
    if code == INTERRUPTED:
        complain("interrupted")
    return code if isinstance(code, int) else 0


def arguments_missing(error: Exception) -> bool:
    """Whether ``sweep`` was called alone: then its help is what is said."""
    return type(error).__name__ == "NoArgsIsHelpError"


def main() -> None:
    """The console script. Asked to end, it leaves as it does on Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    sys.exit(run_app())


def _leave(number: int, frame: object) -> None:
    raise KeyboardInterrupt
