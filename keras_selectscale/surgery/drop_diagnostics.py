"""What the drops of a model do during its training: a callback."""

import contextlib
import csv
import io
import pathlib
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_selectscale.argument_names import named_attributes
from keras_selectscale.checks import value_error
from keras_selectscale.files import read_text, write_text
from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.layers.feature_maps import FeatureMaps
from keras_selectscale.layers.selection import TopRanked
from keras_selectscale.layers.selective import Selective
from keras_selectscale.object_checks import as_path, as_positive_integer
from keras_selectscale.surgery.monte_carlo import fixed_draws
from keras_selectscale.surgery.switching import drops_active, drops_of, replaced

# Of the time of a training, if the callback decides when it observes.
MOST_SHARE = 0.02
MOST_EPOCHS = 2**31 - 1
COLUMNS = ("epoch", "site", "entropy", "mean_factor", "selected")


class DropObservation(NamedTuple):
    """What one drop did with a batch of images.

    Attributes:
        selected: float32 of shape (channels,), the share of the images for which each channel was
            selected; `None` if the drop does not select.
        entropy: Entropy of the selection over the channels in nats: log(channels) if all are
            selected equally often, log(k) if the same k are selected for every image. NaN if the
            drop does not select.
        mean_factor: Mean of the factor over images and channels; NaN if the drop has no factor,
            as those of Keras.
    """

    selected: np.ndarray | None
    entropy: float
    mean_factor: float


@named_attributes
class DropDiagnostics(keras.callbacks.Callback):
    """Records what each drop of a model selects, at the end of epochs.

    Use it to see whether a drop always acts on the same channels. A compiled function of its own
    calls the model on a fixed batch of images, with active drops and everything else as in
    inference. The training step does not change, and neither do weights, counts of steps or random
    states: the training is the same to the bit with the callback and without it. The draws have the
    same seed at every epoch, so that differences come from the network.

    `logs` receives `drop_entropy/SITE` and `drop_factor/SITE`, which
    `keras.callbacks.TensorBoard` writes if it is listed after this callback. It observes on one
    device, and does not reach drops inside TimeDistributed and other layers that loop.

    Args:
        images: A batch of images as the model takes them; 64 are enough.
        every: Number of epochs between observations; `None` for as many as take at most 2% of the
            time of the training, without the compilation of the first one.
        path: CSV file to write, or `None`. The rows of epochs before the first one stay.

    Attributes:
        history: A dict for each observed epoch, counted from 0, by epoch: a `DropObservation` for
            each drop by the name of its layer.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range, or, when the training begins, the model has no
            drop of this package.

    Example:

    ```python
    diagnostics = DropDiagnostics(images[:64])
    model.fit(images, labels, epochs=5, callbacks=[diagnostics])
    diagnostics.history[4]["drop"].selected.argsort()[-3:]  # The channels it prefers.
    ```
    """

    def __init__(self, images: Any, *, every: int | None = 1, path: Any = None):
        super().__init__()
        shape = getattr(images, "shape", None)
        if not shape or len(shape) < 3 or shape[0] == 0:
            raise value_error("images", "an array of at least one image", images)
        self.images = images
        self.every = None if every is None else as_positive_integer("every", every, MOST_EPOCHS)
        self.path: pathlib.Path | None = None if path is None else as_path("path", path)
        self.history: dict[int, dict[str, DropObservation]] = {}
        self._observer: _Observer | None = None
        self._cost: float | None = None
        self._since = time.monotonic()

    def on_train_begin(self, logs: Any = None) -> None:
        """Checks the model."""
        if self._observer is None or self._observer.model is not self.model:
            self._observer, self._cost = _Observer(self.model), None
        self._since = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Observes the drops if an observation is due."""
        began = time.monotonic()
        if self.every is None:
            if self._cost is not None and self._cost > MOST_SHARE * (began - self._since):
                return
        elif (epoch + 1) % self.every:
            return
        assert self._observer is not None
        found = self._observer(self.images)
        if self._cost is None and self.every is None:
            began = time.monotonic()  # Without the compilation.
            self._observer(self.images)
        self.history[epoch] = found
        for site, observed in found.items():
            values = {"drop_entropy": observed.entropy, "drop_factor": observed.mean_factor}
            if logs is not None:
                known = {f"{k}/{site}": v for k, v in values.items() if np.isfinite(v)}
                logs.update(known)
        if self.path is not None:
            self._write(self.path)
        self._since = time.monotonic()
        self._cost = self._since - began

    def _write(self, path: pathlib.Path) -> None:
        first = min(self.history) + 1
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        if path.exists():  # Of the run before it was continued.
            rows = csv.reader(io.StringIO(read_text(path)))
            writer.writerows(r for r in rows if r and r[0].isdecimal() and int(r[0]) < first)
        for epoch, found in self.history.items():
            for site, (selected, *numbers) in found.items():
                shares = "" if selected is None else " ".join(f"{each:.4g}" for each in selected)
                writer.writerow([epoch + 1, site, *(f"{n:.5f}" for n in numbers), shares])
        write_text(path, text.getvalue())


class _Observer:
    """Calls a model with active drops, and returns what they selected.

    Args:
        model: The model.
    """

    def __init__(self, model: keras.Model):
        self.model = model
        every = [d for d in drops_of(model, "selectscale") if isinstance(d, FeatureMaps)]
        self.drops = every
        # The drop within a `Selective` is a part of it.
        inner = {id(drop.drop) for drop in every if isinstance(drop, Selective)}
        self.sites: dict[str, FeatureMaps] = {}
        for drop in every:
            if id(drop) not in inner:
                name, number = drop.name, 1
                while name in self.sites:
                    number += 1
                    name = f"{drop.name}_{number}"
                self.sites[name] = drop
        self._function: Any = None
        self._recorded: dict[str, dict[str, list[Any]]] = {}

    def __call__(self, images: Any) -> dict[str, DropObservation]:
        if self._function is None:
            self._function = self._compiled()
        with (
            fixed_draws(self.drops, 0),
            drops_active(self.model, which="selectscale"),
            self._recording(),
        ):
            found = keras.tree.map_structure(ops.convert_to_numpy, self._function(images))
        return {site: _observation(**found[site]) for site in self.sites if site in found}

    def _observe(self, images: Any) -> dict[str, dict[str, Any]]:
        self._recorded = {}
        self.model(images, training=False)
        means = {
            site: {kind: sum(values) / len(values) for kind, values in each.items()}
            for site, each in self._recorded.items()
        }
        self._recorded = {}
        return means

    def _compiled(self) -> Any:
        backend = keras.backend.backend()
        if backend == "tensorflow":
            import tensorflow as tf

            return tf.function(self._observe, autograph=False)
        if backend == "jax":
            import jax

            variables = self.model.variables

            @jax.jit
            def observe(values: list[Any], images: Any) -> Any:
                with keras.StatelessScope(list(zip(variables, values, strict=True))):
                    return self._observe(images)

            return lambda images: observe([each.value for each in variables], images)
        if backend == "torch":
            import torch

            return torch.no_grad()(self._observe)
        return self._observe

    @contextlib.contextmanager
    def _recording(self) -> Iterator[None]:
        """Lets each drop record its selection and its factor while it is called."""
        with contextlib.ExitStack() as stack:
            for site, drop in self.sites.items():
                if isinstance(drop, TopRanked):
                    stack.enter_context(
                        replaced(drop, "candidates", self._recorder(site, drop.candidates, True))
                    )
                name = "factor_on" if isinstance(drop, Selective) else "next_factor"
                if isinstance(drop, FeatureDrop | Selective):
                    stack.enter_context(
                        replaced(drop, name, self._recorder(site, getattr(drop, name), False))
                    )
            yield

    def _recorder(self, site: str, method: Any, is_mask: bool) -> Any:
        def recorded(*args: Any) -> Any:
            found = method(*args)
            value = ops.mean(ops.cast(found, "float32"), axis=0 if is_mask else None)
            kinds = self._recorded.setdefault(site, {})
            kinds.setdefault("selected" if is_mask else "mean_factor", []).append(value)
            return found

        return recorded


def _observation(
    selected: np.ndarray | None = None, mean_factor: Any = float("nan")
) -> DropObservation:
    entropy = float("nan")
    if selected is not None:
        shares = selected[selected > 0].astype("float64")
        shares = shares / shares.sum()
        entropy = float(-(shares * np.log(shares)).sum())
    return DropObservation(selected, entropy, float(mean_factor))
