"""Where a run stands."""

import dataclasses
from typing import Any


@dataclasses.dataclass
class RunState:
    """What a checkpoint holds beside the model, so that a run goes on as if never interrupted.

    Attributes:
        step: Steps that are done, in all epochs.
        rows: Rows of the history, one for each epoch that is done.
        metrics: Values of the metrics' variables in the middle of an epoch, one list for each
            variable, a value for each replica; empty at an epoch's end.
        seconds: Time that the training took up to here, over all calls.
    """

    step: int = 0
    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    metrics: list[list[float]] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Returns the state as it stands in a file; every number comes back as it was."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> "RunState":
        """Makes the state again from `as_json()`.

        Raises:
            ValueError: Where a value is missing, unknown or of another type.
        """
        kinds: dict[str, Any] = {
            "step": int,
            "rows": list,
            "metrics": list,
            "seconds": (int, float),
        }
        if not isinstance(values, dict) or set(values) != set(kinds):
            raise ValueError(f"a state of {sorted(kinds)} was expected")
        for name, kind in kinds.items():
            if not isinstance(values[name], kind):
                raise ValueError(f"its {name} is {values[name]!r}")
        return cls(**values)
