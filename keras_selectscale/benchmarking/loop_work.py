"""The whole training loop, host work included, as a side of a measurement."""

import contextlib
import pathlib
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_selectscale.data import Augmentation, ImageData
from keras_selectscale.training import Recipe, RunFolder, checkpoints, logs
from keras_selectscale.training.background import BackgroundWriter
from keras_selectscale.training.checkpoints import RunState
from keras_selectscale.training.epoch_progress import EpochProgress, make_progress
from keras_selectscale.training.fit import fit
from keras_selectscale.training.run_checkpoint import RunCheckpoint

# Steps of an epoch, which is one call of the work.
STEPS = 20
# More than any measurement calls.
EPOCHS = 2**20


class LoopEnded(Exception):
    """Ends a training between two epochs."""


class _Turns(keras.callbacks.Callback):
    """Lets a training in a thread take one epoch at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.ended = threading.Semaphore(0), threading.Semaphore(0)
        self.is_over = False

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Waits until the next epoch is wanted."""
        self.ended.release()
        self.go.acquire()
        if self.is_over:
            raise LoopEnded


class LoopWork:
    """A training that goes on for one epoch with each call.

    It is one call of `training.fit`, as for `train`: on JAX the device loop, and otherwise Keras'
    `fit` on tf.data. It runs in a thread, so that it can take turns with other sides without being
    compiled again.

    Args:
        model: Compiled model for images.
        batch_size: Images per step.
        seed: Determines images, their order and their augmentation.
        callbacks: Whether to do what `train` does besides: checkpoints, logs for TensorBoard, and
            progress.
    """

    def __init__(self, model: keras.Model, batch_size: int, seed: int, *, callbacks: bool):
        self._turns = _Turns()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

        def loop() -> None:
            try:
                with contextlib.ExitStack() as held:
                    given = held.enter_context(_of_train(batch_size)) if callbacks else {}
                    chosen = [*given.pop("callbacks", ()), self._turns]
                    fit(
                        model,
                        random_images(model, batch_size, seed),
                        batch_size=batch_size,
                        epochs=EPOCHS,
                        seed=seed,
                        callbacks=chosen,
                        **given,
                    )
            except LoopEnded:
                pass
            except BaseException as error:  # Raised where the work was called.
                self._error = error
                self._turns.ended.release()

        self._thread = threading.Thread(target=loop, daemon=True, name="training")
        self._started = False

    def __call__(self) -> None:
        """Takes the steps of an epoch."""
        if self._started:
            self._turns.go.release()
        elif self._thread is not None:
            self._thread.start()
            self._started = True
        self._turns.ended.acquire()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Ends the training."""
        self._turns.is_over = True
        self._turns.go.release()
        if self._started and self._thread is not None:
            self._thread.join()


def random_images(model: keras.Model, batch_size: int, seed: int) -> ImageData:
    """Returns random images and labels for the steps of an epoch."""
    generator = np.random.default_rng(seed)
    shape, classes = model.input_shape[1:], model.output_shape[-1]

    def split(count: int) -> tuple[np.ndarray, np.ndarray]:
        pixels = generator.integers(256, size=(count, *shape), dtype=np.uint8)
        return pixels, generator.integers(classes, size=count)

    channels = shape[-1]
    return ImageData(
        "random",
        *split(STEPS * batch_size),
        *split(1),
        classes=classes,
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
        augmentation=Augmentation(padding=4, flip=True),
    )


@contextlib.contextmanager
def _of_train(batch_size: int) -> Iterator[dict[str, Any]]:
    """Yields the callbacks of `train` as arguments of `fit`, with files in a temporary folder."""
    recipe = Recipe(network="random", dataset="digits", epochs=EPOCHS, batch_size=batch_size)
    with tempfile.TemporaryDirectory() as folder, BackgroundWriter() as writer:
        run = RunFolder(pathlib.Path(folder) / "run")
        run.open(recipe, {})

        def write(model: keras.Model, state: RunState) -> int:
            size = checkpoints.write_checkpoint(run, recipe, model, state)
            run.write_history(state.rows)
            return size

        check = RunCheckpoint(
            RunState(),
            write,
            epochs=EPOCHS,
            steps_per_epoch=STEPS,
            every_seconds=None,
            writer=writer,
        )
        progress = EpochProgress(make_progress(), EPOCHS, STEPS, epoch_lines=False)
        chosen: list[keras.callbacks.Callback] = [progress]
        if logs.can_log():
            chosen.append(logs.EpochLog(run.log_path))
        yield {"stop_check": check, "callbacks": chosen}
