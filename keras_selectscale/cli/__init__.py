"""The command line; one file a command."""

import os
import sys

# Before the first import of TensorFlow, whose start-up lines would hide one's own.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main() -> None:
    """Runs `keras-selectscale` and exits: 0, 2 on bad input, 1 on a failure, 130 on Ctrl-C."""
    from keras_selectscale.cli.group import cli, run

    sys.exit(run(cli))
