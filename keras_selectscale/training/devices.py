"""The devices of a run."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras

from keras_selectscale.argument_names import named_attributes
from keras_selectscale.checks import ArgumentValueError, as_choice, as_integer, shown, value_error
from keras_selectscale.object_checks import as_boolean, as_string
from keras_selectscale.training.compilation_cache import enable_compilation_cache
from keras_selectscale.training.speed import check_jit, decide_jit
from keras_selectscale.wording import counted

STRATEGIES = ("none", "mirrored", "data")
BACKENDS = {"mirrored": "tensorflow", "data": "jax"}
# How long the processes wait for each other at the start, and for a silent one later.
CONNECT_SECONDS = 300
SILENCE_SECONDS = 30


@named_attributes
@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices on which a run trains, and how they share the work.

    Each device has the whole network and a part of each batch. The work is done by the backends:
    `tf.distribute.MirroredStrategy` over the devices of one host, and
    `keras.distribution.DataParallel` on JAX over those of one or more hosts.

    Args:
        distribute: `"none"`, `"mirrored"` (TensorFlow) or `"data"` (JAX).
        coordinator: For several processes, `"HOST:PORT"` of the process with number 0.
        processes: Number of processes that train together.
        process: Number of this process, from 0.
        cpu_devices: Number of devices into which the CPU is split, to test a setup.
        steps_per_dispatch: Number of steps that JAX takes without returning to the host. `None` is
            1 on a CPU, where a compiled loop is slower than its steps. On other devices it is the
            largest number from 10 to 50 that divides the number of full batches of an epoch, so
            that one loop is compiled, or 50 if none does.
        jit: Whether to compile the training step, on TensorFlow by XLA. `None` means the value with
            which the run began, or the faster choice (see `training.speed`). It is not part of the
            recipe: like the backend, it changes rounding and the random numbers.
        compilation_cache: Whether JAX keeps what it compiles in the user's cache folder (see
            `training.compilation_cache`).

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is out of range, or contradicts another one or the backend.
    """

    distribute: str = "none"
    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None
    cpu_devices: int | None = None
    steps_per_dispatch: int | None = None
    jit: bool | None = None
    compilation_cache: bool = True

    def __post_init__(self) -> None:
        """Checks what can be checked before the backend starts."""
        as_choice("distribute", self.distribute, STRATEGIES)
        backend = keras.backend.backend()
        wanted = BACKENDS.get(self.distribute, backend)
        if wanted != backend:
            expected = f"'none' on the backend {backend} (that is for KERAS_BACKEND={wanted})"
            raise value_error("distribute", expected, self.distribute)
        for name in ("processes", "process", "cpu_devices", "steps_per_dispatch"):
            if (value := getattr(self, name)) is not None:
                value = as_integer(name, value, 0 if name == "process" else 1)
                object.__setattr__(self, name, value)
        if self.steps_per_dispatch not in (None, 1) and backend != "jax":
            expected = f"1 on the backend {backend}"
            raise value_error("steps_per_dispatch", expected, self.steps_per_dispatch)
        check_jit(self.jit, self.distribute)
        as_boolean("compilation_cache", self.compilation_cache)
        several = (self.coordinator, self.processes, self.process)
        if any(value is not None for value in several) and (
            self.distribute != "data" or None in several
        ):
            message = (
                "Argument `coordinator` must be given together with processes, process and "
                f"distribute='data', all of them. Received: coordinator={shown(self.coordinator)}, "
                f"processes={self.processes}, process={self.process}, "
                f"distribute={self.distribute!r}"
            )
            raise ArgumentValueError.about("coordinator", message)
        if self.coordinator is not None and not _is_address(
            as_string("coordinator", self.coordinator)
        ):
            raise value_error("coordinator", "HOST:PORT", self.coordinator)
        if self.processes is not None and not (self.process or 0) < self.processes:
            raise value_error("process", f"from 0 to {self.processes - 1}", self.process)

    def start(self) -> None:
        """Starts the backend on the devices. Call it once, before anything is computed.

        Raises:
            ValueError: If the CPU cannot be split because the backend has started already, or if
                the processes do not find each other.
        """
        if self.cpu_devices is not None:
            _split_cpu(self.cpu_devices)
        if self.compilation_cache:
            enable_compilation_cache()
        if self.coordinator is None:
            return
        import jax

        if hasattr(jax.config, "jax_enable_recoverability"):
            # Otherwise JAX aborts a process that has lost another one, and prints a page.
            jax.config.update("jax_enable_recoverability", True)
        if hasattr(jax.config, "jax_enable_preemption_service"):
            # It would take SIGTERM away from `stopping`.
            jax.config.update("jax_enable_preemption_service", False)
        try:
            jax.distributed.initialize(
                self.coordinator,
                self.processes,
                self.process,
                # By default process 0 listens on all interfaces.
                coordinator_bind_address=self.coordinator,
                initialization_timeout=CONNECT_SECONDS,
                heartbeat_timeout_seconds=SILENCE_SECONDS,
            )
        except RuntimeError as error:
            expected = (
                f"the address of process 0, and all {self.processes} processes must start within "
                f"{CONNECT_SECONDS} s ({str(error).splitlines()[0]})"
            )
            raise value_error("coordinator", expected, self.coordinator) from None

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
        """Number of devices that share a batch, over all processes."""
        if self.distribute == "mirrored":
            return len(_mirrored_devices())
        if self.distribute == "data":
            import jax

            return len(jax.devices())
        return 1

    def check_batches(self, batch_size: int, train_count: int) -> None:
        """Checks that the devices can share every batch of an epoch evenly.

        Raises:
            ValueError: If they cannot.
        """
        last = train_count % batch_size
        if batch_size % self.count or last % self.count:
            expected = (
                f"such that {counted(self.count, 'device')} share evenly every batch of the "
                f"{counted(train_count, 'training image')}, also the last one of "
                f"{last or batch_size}"
            )
            raise value_error("batch_size", expected, batch_size)

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Places what is created inside the context on all devices."""
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
        """Places what one process creates inside the scope on its own first device."""
        return _distribution(None)

    def prepare(self, model: keras.Model) -> None:
        """Makes batch normalization use the whole batch, as on one device.

        On JAX it already does. TensorFlow would normalize the part of each device separately.
        """
        if keras.backend.backend() != "tensorflow":
            return
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = self.distribute == "mirrored"

    def decide_jit(self, began: bool | None = None) -> bool:
        """Returns whether the training step is compiled.

        Args:
            began: Value with which the run began; `None` if it begins now.

        Raises:
            ValueError: If `jit` differs from `began` and both are possible.
        """
        return decide_jit(self.jit, began, self.distribute)

    def shardings(self) -> tuple[Any, Any]:
        """Returns JAX's shardings of a batch, and of replicated data.

        Both are `None` for one device.
        """
        if self.distribute != "data":
            return None, None
        import jax

        mesh = keras.distribution.distribution().device_mesh.backend_mesh
        spec = jax.sharding.PartitionSpec
        named = jax.sharding.NamedSharding
        return named(mesh, spec(mesh.axis_names[0])), named(mesh, spec())

    def describe(self) -> dict[str, Any]:
        """Returns the record of the devices in a run's config."""
        return {
            "distribute": self.distribute,
            "devices": self.count,
            "processes": self.processes,
            "jit": self.decide_jit(),
            "steps_per_dispatch": self.steps_per_dispatch or "auto",
        }


@contextlib.contextmanager
def _distribution(chosen: Any) -> Iterator[None]:
    """Applies a Keras distribution, or `None`, inside the context."""
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(chosen)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def _is_address(value: str) -> bool:
    host, colon, port = value.rpartition(":")
    return bool(host and colon) and port.isdigit() and 0 < int(port) < 2**16


def _mirrored_devices() -> list[str]:
    """Returns TensorFlow's GPUs, or the devices of the CPU if there is no GPU."""
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in devices]


def _split_cpu(count: int) -> None:
    """Splits the CPU into `count` devices."""
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
            raise ValueError("PyTorch has one CPU device")
    except (RuntimeError, ValueError) as error:
        expected = f"given on TensorFlow or JAX before the backend has started ({error})"
        raise value_error("cpu_devices", expected, count) from None
