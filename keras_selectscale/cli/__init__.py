"""The command line; one file a command."""

import sys


def main() -> None:
    """Runs `keras-selectscale` and exits with 0, 2 on bad input, 1 on a failure, 130 on Ctrl-C."""
    from keras_selectscale.environment import require

    try:
        require("click", "cli", "The command line")
    except ModuleNotFoundError as error:
        print(f"keras-selectscale: {error}", file=sys.stderr)
        sys.exit(2)
    from keras_selectscale.cli.group import cli, run

    sys.exit(run(cli))
