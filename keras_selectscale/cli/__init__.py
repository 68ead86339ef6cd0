"""The command line, with one file per command."""

import signal
import sys

from keras_selectscale import stopping, streams


def main() -> None:
    """Runs `keras-selectscale` and exits.

    The status is 0, 2 on bad input, 1 on a failure, 130 on Ctrl-C, or 75 on SIGTERM or a time
    limit.
    """
    streams.open_closed_descriptors()
    with stopping.signals(stopping.LINES):
        with stopping.ending_at_once():
            from keras_selectscale.environment import require

            try:
                for package in ("click", "rich"):
                    require(package, "cli", "The command line")
            except ModuleNotFoundError as error:
                print(f"keras-selectscale: {error}", file=sys.stderr)
                sys.exit(2)
            from keras_selectscale.cli.group import cli, run
        status = run(cli)
    # All is said. Libraries that are being unloaded would answer a late Ctrl-C with a traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)
