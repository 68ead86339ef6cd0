"""The devices of a run."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras

from keras_selectscale.training.speed import check_jit, decide_jit

STRATEGIES = ("none", "mirrored", "data")
BACKENDS = {"mirrored": "tensorflow", "data": "jax"}
# How long the processes wait for each other at the start, and until a silent one is given up.
CONNECT_SECONDS = 300
SILENCE_SECONDS = 30


@dataclasses.dataclass(frozen=True)
class Devices:
    """On which devices a run trains, and how the work is shared among them.

    Every device has the whole network and a part of each batch. The engines are those of the
    backends: `tf.distribute.MirroredStrategy` over the devices of a host, and
    `keras.distribution.DataParallel` on JAX over those of one or more hosts.

    Args:
        distribute: `"none"`, `"mirrored"` (TensorFlow) or `"data"` (JAX).
        coordinator: For several processes: `"HOST:PORT"` of the one with number 0.
        processes: How many processes train together.
        process: Number of this one, from 0.
        cpu_devices: Into how many devices the CPU is split, to rehearse on one.
        steps_per_dispatch: Steps that JAX takes at a time without a word to the host; `None` is 1
            on a CPU, where a loop that is compiled is slower than its steps, and 50 elsewhere.
        jit: Whether the training step is compiled, on TensorFlow by XLA; `None` is what the run
            began with, or what is fastest (see `training.speed`). It is no part of the recipe: as
            with the backend, what changes is rounding and the numbers that are drawn.

    Raises:
        TypeError: Where a number is no integer.
        ValueError: Where a value is out of its range, or does not go with the others or with the
            backend.
    """

    distribute: str = "none"
    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None
    cpu_devices: int | None = None
    steps_per_dispatch: int | None = None
    jit: bool | None = None

    def __post_init__(self) -> None:
        """Checks what can be checked before the backend starts."""
        if self.distribute not in STRATEGIES:
            raise ValueError(
                f"Argument `distribute` must be one of {list(STRATEGIES)}. "
                f"Received: distribute={self.distribute!r}"
            )
        backend = keras.backend.backend()
        wanted = BACKENDS.get(self.distribute, backend)
        if wanted != backend:
            raise ValueError(
                f"Argument `distribute` must be 'none' on the backend {backend}: "
                f"{self.distribute!r} is for KERAS_BACKEND={wanted}. "
                f"Received: distribute={self.distribute!r}"
            )
        for name in ("processes", "cpu_devices", "steps_per_dispatch"):
            _check_count(name, getattr(self, name), 1)
        _check_count("process", self.process, 0)
        if self.steps_per_dispatch not in (None, 1) and backend != "jax":
            raise ValueError(
                f"Argument `steps_per_dispatch` must be 1 on the backend {backend}. "
                f"Received: steps_per_dispatch={self.steps_per_dispatch}"
            )
        check_jit(self.jit, self.distribute)
        several = (self.coordinator, self.processes, self.process)
        if any(value is not None for value in several) and (
            self.distribute != "data" or None in several
        ):
            raise ValueError(
                "Argument `coordinator` goes with processes, process and distribute='data', all "
                f"of them. Received: coordinator={self.coordinator!r}, "
                f"processes={self.processes!r}, process={self.process!r}, "
                f"distribute={self.distribute!r}"
            )
        if self.coordinator is not None and not _is_address(self.coordinator):
            raise ValueError(
                "Argument `coordinator` must be HOST:PORT. "
                f"Received: coordinator={self.coordinator!r}"
            )
        if self.processes is not None and not (self.process or 0) < self.processes:
            raise ValueError(
                f"Argument `process` must be from 0 to {self.processes - 1}. "
                f"Received: process={self.process}"
            )

    def start(self) -> None:
        """Starts the backend on the devices; called once, before anything is computed.

        Raises:
            ValueError: Where the CPU cannot be split, the backend being started already, or the
                processes do not find each other.
        """
        if self.cpu_devices is not None:
            _split_cpu(self.cpu_devices)
        if self.coordinator is None:
            return
        import jax

        if hasattr(jax.config, "jax_enable_recoverability"):
            # Without it JAX ends a process whose peer is gone from outside, with a page of its own.
            jax.config.update("jax_enable_recoverability", True)
        try:
            jax.distributed.initialize(
                self.coordinator,
                self.processes,
                self.process,
                initialization_timeout=CONNECT_SECONDS,
                heartbeat_timeout_seconds=SILENCE_SECONDS,
            )
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                "Argument `coordinator` must be the address of process 0, and all "
                f"{self.processes} processes be started within {CONNECT_SECONDS} s. "
                f"Received: coordinator={self.coordinator!r} ({reason})"
            ) from None

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run's folder."""
        return not self.process

    @property
    def is_several(self) -> bool:
        """Whether more than one process trains."""
        return (self.processes or 1) > 1

    @property
    def count(self) -> int:
        """Number of devices over which a batch is shared, of all processes."""
        if self.distribute == "mirrored":
            return len(_mirrored_devices())
        if self.distribute == "data":
            import jax

            return len(jax.devices())
        return 1

    def check_batches(self, batch_size: int, train_count: int) -> None:
        """Checks that every batch of an epoch can be shared out evenly.

        Raises:
            ValueError: Where one cannot.
        """
        last = train_count % batch_size
        if batch_size % self.count or last % self.count:
            raise ValueError(
                f"Argument `batch_size` must make batches that {self.count} devices share evenly. "
                f"Received: batch_size={batch_size}, with a last batch of {last or batch_size} of "
                f"the {train_count} training images"
            )

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Lets what is made within live on all devices."""
        if self.distribute == "mirrored":
            import tensorflow as tf

            with tf.distribute.MirroredStrategy(_mirrored_devices()).scope():
                yield
        elif self.distribute == "data":
            with _distribution(keras.distribution.DataParallel(auto_shard_dataset=False)):
                yield
        else:
            yield

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """Lets what one process makes within the scope live on its own first device."""
        return _distribution(None)

    def prepare(self, model: keras.Model) -> None:
        """Makes batch normalisation one of the whole batch, as on one device.

        On JAX it is; TensorFlow would normalise each device's part by itself.
        """
        if keras.backend.backend() != "tensorflow":
            return
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = self.distribute == "mirrored"

    def decide_jit(self, began: bool | None = None) -> bool:
        """Returns whether the training step is compiled.

        Args:
            began: What the run began with; `None` where it begins now.

        Raises:
            ValueError: Where `jit` is another, and both could be.
        """
        return decide_jit(self.jit, began, self.distribute)

    def steps_at_a_time(self) -> int:
        """Returns the number of steps of a dispatch on JAX."""
        import jax

        on_cpu = jax.default_backend() == "cpu"
        return self.steps_per_dispatch or (1 if on_cpu else 50)

    def shardings(self) -> tuple[Any, Any]:
        """Returns JAX's shardings of a batch and of what every device has whole.

        Both are `None` where there is one device.
        """
        if self.distribute != "data":
            return None, None
        import jax

        mesh = keras.distribution.distribution().device_mesh.backend_mesh
        spec = jax.sharding.PartitionSpec
        named = jax.sharding.NamedSharding
        return named(mesh, spec(mesh.axis_names[0])), named(mesh, spec())

    def describe(self) -> dict[str, Any]:
        """Returns what a run's config records of its devices."""
        return {
            "distribute": self.distribute,
            "devices": self.count,
            "processes": self.processes,
            "jit": self.decide_jit(),
        }


@contextlib.contextmanager
def _distribution(chosen: Any) -> Iterator[None]:
    """Lets what is made within be distributed so, on JAX."""
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(chosen)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def _check_count(name: str, value: Any, low: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"Argument `{name}` must be an integer. Received: {name}={value!r}")
    if value < low:
        raise ValueError(f"Argument `{name}` must be at least {low}. Received: {name}={value}")


def _is_address(value: str) -> bool:
    host, colon, port = value.rpartition(":")
    return bool(host and colon) and port.isdigit() and 0 < int(port) < 2**16


def _mirrored_devices() -> list[str]:
    """Returns the GPUs that TensorFlow has, or the CPU's devices where there is none."""
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in devices]


def _split_cpu(count: int) -> None:
    """Makes `count` devices of the CPU."""
    try:
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            cpu = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(
                cpu, [tf.config.LogicalDeviceConfiguration()] * count
            )
        elif keras.backend.backend() == "jax":
            import jax

            jax.config.update("jax_num_cpu_devices", count)
        else:
            raise ValueError("PyTorch has one")
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            "Argument `cpu_devices` must be given before the backend has started, on TensorFlow or "
            f"JAX. Received: cpu_devices={count} ({error})"
        ) from None
