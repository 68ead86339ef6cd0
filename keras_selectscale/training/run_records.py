"""What the files of a run contain."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Config:
    """Content of `config.json`.

    Attributes:
        recipe: Recipe of the run, as JSON.
        environment: Versions, backend and machine of the run; recorded, not compared.
        images: What tells the images of each split from others, as `Dataset.digest` returns it;
            `None` if it was not recorded.
    """

    recipe: dict[str, Any]
    environment: dict[str, Any] = dataclasses.field(default_factory=dict)
    images: dict[str, dict[str, Any]] | None = None


@dataclasses.dataclass(frozen=True)
class Accelerator:
    """The accelerators of a run, as `environment.accelerator` returns them.

    Attributes:
        name: Name of the device.
        count: Number of devices.
        memory_mib: Memory of one in MiB; `None` if it is unknown.
        driver: Version of the driver; `None` if it is unknown.
    """

    name: str
    count: int = 1
    memory_mib: float | None = None
    driver: str | None = None


@dataclasses.dataclass(frozen=True)
class MadeOn:
    """The part of a run's environment that tables show.

    Attributes:
        packages: Versions by the names of packages.
        backend: Keras' backend.
        machine: System, architecture and cores.
        commit: Commit of this package.
        accelerator: The accelerators; `None` for the CPU. Earlier versions recorded a text.
    """

    packages: dict[str, str] = dataclasses.field(default_factory=dict)
    backend: str | None = None
    machine: str | None = None
    commit: str | None = None
    accelerator: Accelerator | str | None = None


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
        test_class_errors: Error on the test images of each class; an entry is `None` if a class has
            no test image. `None` if it was not recorded, as are the fields below.
        test_nll: Mean negative log-likelihood of the test images' classes, in nats.
        test_ece: Expected calibration error, in [0, 1]; see `run_result.PredictionCounts`.
        ece_bins: Number of bins of equal width for `test_ece`.
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
    test_class_errors: list[float | None] | None = None
    test_nll: float | None = None
    test_ece: float | None = None
    ece_bins: int | None = None
