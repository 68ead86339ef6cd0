"""What the files of a run contain."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Config:
    """Content of `config.json`.

    Attributes:
        recipe: Recipe of the run, as JSON.
        environment: Versions, backend and machine of the run; recorded, not compared.
    """

    recipe: dict[str, Any]
    environment: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class HistoryRow:
    """One row of `history.csv`.

    Attributes:
        epoch: Number of the epoch, from 1.
        loss: Mean training loss of the epoch.
        accuracy: Training accuracy of the epoch, in [0, 1].
        learning_rate: Learning rate at the end of the epoch.
    """

    epoch: int
    loss: float
    accuracy: float
    learning_rate: float


@dataclasses.dataclass(frozen=True)
class Result:
    """Content of `result.json`. Errors are in percent.

    Attributes:
        test_error: Error on the test images after the last epoch.
        train_error: Error on the training images during the last epoch, with drops.
        parameters: Number of trainable weights.
        epochs: Number of epochs.
        seconds: Time of the training, over all calls.
        images_per_second: Training images per second of that time, without `startup_seconds`.
        test_loss: Loss on the test images; `None` if it was not recorded.
        test_top5_error: Top-5 error on the test images; `None` for less than 1,000 classes.
        startup_seconds: The part of `seconds` before the end of the first step, over all calls:
            building the network and compiling. `None` if it was not recorded; it then counts as
            training.
    """

    test_error: float
    train_error: float
    parameters: int
    epochs: int
    seconds: float
    images_per_second: float
    test_loss: float | None = None
    test_top5_error: float | None = None
    startup_seconds: float | None = None
