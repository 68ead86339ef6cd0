"""The callback that ends a trial whose loss is no longer finite."""

import math

import keras


class FiniteLoss(keras.callbacks.Callback):
    """Raises where the loss of the epoch so far is NaN or infinite.

    `keras.callbacks.TerminateOnNaN` would print a line and let the run end as if it were done.

    Raises:
        FloatingPointError: Which makes the trial a failed one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Notes the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Looks at the loss."""
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} in epoch {self._epoch + 1}: a lower learning rate may help"
            )
