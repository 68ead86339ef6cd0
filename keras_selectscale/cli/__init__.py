"""The command line; one file a command."""

import sys


def main() -> None:
    """Runs `keras-selectscale` and exits with 0, 2 on bad input, 1 on a failure, 130 on Ctrl-C."""
    from keras_selectscale.environment import require

    require("click", "cli", "The command line")
    from keras_selectscale.cli.group import cli, run

    sys.exit(run(cli))
