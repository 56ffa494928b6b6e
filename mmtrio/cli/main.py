"""The entry point: parse, run a verb, and turn every way it can fail into one paragraph and an exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mmtrio.cli.arguments import help_text, parse_arguments
from mmtrio.cli.failures import EXIT_FINE, report_failure
from mmtrio.cli.logs import write_stdout

if TYPE_CHECKING:
    import argparse


def main(argv: list[str] | None = None) -> int:
    """Run `trio-mm` with these arguments (those of the process by default). Returns the exit code."""
    try:
        try:
            arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
            return _run_verb(arguments)
        finally:
            write_stdout("")  # A reader that has gone is noticed here, not in the interpreter's last flush.
    except SystemExit as leaving:  # --help and --version, already printed.
        return int(leaving.code or 0)
    except BaseException as error:
        return report_failure(error)


def _run_verb(arguments: argparse.Namespace) -> int:
    # Imported late: --help and a mistyped flag answer at once.
    if arguments.verb == "run":
        from mmtrio.cli.run import run

        return run(arguments)
    if arguments.verb == "exchange":
        from mmtrio.cli.exchange import exchange

        return exchange(arguments)
    write_stdout(help_text())
    return EXIT_FINE
