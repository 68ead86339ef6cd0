"""Starts Keras without the log lines of its backend."""

import importlib.util
import logging
import os
import sys
import tempfile

import click

from keras_selectscale import stopping

# On a terminal only, where the second one erases the first.
STARTING, ERASED = b"starting Keras\r", b"\x1b[K"
BACKENDS = ("tensorflow", "jax", "torch")

# Program of a process that runs a command of this package.
MAIN = (
    "import sys; sys.argv[0] = 'keras-selectscale'; from keras_selectscale.cli import main; main()"
)


def start_keras() -> None:
    """Imports Keras and suppresses what its backend writes to standard error during the import.

    TensorFlow reports CPU instructions and missing GPU libraries at any log level, which would hide
    a one-line message. If another backend trains, TensorFlow only reads data and writes logs, and
    sees no GPU, because it would take all of its memory.

    Raises:
        click.UsageError: If the backend does not exist or does not start.
    """
    # Set before the import; it silences later lines of the same kind.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    shown = os.isatty(kept)
    if shown:  # The import takes seconds.
        os.write(kept, STARTING)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            with stopping.ending_at_once(kept):
                _import_keras()
        except (ImportError, ValueError) as error:
            name = os.environ.get("KERAS_BACKEND", "tensorflow")
            known = name in ("tensorflow", "jax", "torch")
            advice = (
                f"the extra [{name}] installs it"
                if known
                else ("KERAS_BACKEND must be tensorflow, jax or torch")
            )
            raise click.UsageError(
                f"Keras does not start with KERAS_BACKEND={name}: {error}; {advice}"
            ) from None
        except BaseException:
            os.dup2(kept, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            if shown:
                os.write(kept, ERASED)
            os.dup2(kept, 2)
            os.close(kept)


def _import_keras() -> None:
    import keras

    if keras.backend.backend() not in BACKENDS:
        raise ValueError(f"it trains no networks here; take one of {', '.join(BACKENDS)}")
    # Each run of an experiment or of a search traces a new network, of which TensorFlow warns.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    beside = keras.backend.backend() != "tensorflow"
    if beside and importlib.util.find_spec("tensorflow") is not None:
        import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")
