"""The command line's root, and how errors become one message and an exit code."""

import errno
import gc
import itertools
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from featbench import __version__
from featbench.cli._console import print_error
from featbench.errors import FeatbenchError

app = typer.Typer(
    help="How far does a frozen pretrained network take me; what would I gain by training more?",
    epilog="--debug after any command shows the traceback of an error.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"featbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    pass


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _hint(arguments: list[str]) -> str | None:
    """Return how to say which data, where the arguments say it in a way that no command takes.

    A file or folder that stands alone, in a command that takes it as ``--data``; ``--data`` in one
    that shows results.
    """
    command = arguments[0] if arguments else ""
    if command == "table" and any(text.split("=")[0] == "--data" for text in arguments):
        return "one data set's results: --rows dataset=NAME"
    if command not in ("extract", "fit", "finetune"):
        return None
    pairs = itertools.pairwise(arguments)
    alone = [text for before, text in pairs if not before.startswith("-")]
    path = next((text for text in alone if Path(text).exists()), None)
    return None if path is None else f"data goes behind an option: --data {path}"


def main() -> None:
    """Run the command line.

    Exit codes: 0 done, 1 failed, 2 bad usage or input, 3 finished with something to look at,
    4 damaged cache, 130 and 143 interrupted.
    """
    gc.set_threshold(100_000)  # importing torch makes objects by the million, none of them waste
    debug = "--debug" in sys.argv
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app(arguments, prog_name="featbench")
    except FeatbenchError as error:
        if debug:
            raise
        print_error(str(error))
        raise SystemExit(error.exit_code) from None
    except SystemExit as stop:
        if stop.code in (130, 143):
            print_error("interrupted; what was finished is kept: run the same command to go on")
        if stop.code == 2 and (hint := _hint(arguments)):
            print(hint, file=sys.stderr)
        raise
    except OSError as error:
        if debug or error.errno == errno.EPIPE:
            raise
        print_error(f"{error.filename or 'a file'}: {error.strerror or error}")
        raise SystemExit(1) from None
    except Exception as error:
        if debug:
            raise
        print_error(
            f"{type(error).__name__}: {error}\nthis is a bug in featbench: run the command again "
            "with --debug and report what it prints"
        )
        raise SystemExit(1) from None
