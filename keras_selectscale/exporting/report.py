"""The report about an exported file, and the error that is raised if the file does not pass."""

import dataclasses
import math
from typing import Any


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """The result of verifying an exported file.

    Attributes:
        path: The file or folder.
        format: Name of its format.
        bytes: Its size.
        weights_bytes: Size of the weights that the model reads in inference.
        nodes: Number of nodes of its graph, including those in functions and subgraphs. For a
            `.keras` file, the number of its layers.
        random_nodes: Types of nodes that draw, select or hide what they do, and that the model
            without its drops does not have. Empty if the export has no drops.
        variables: Number of variables in the file; 0 for ONNX and LiteRT files, which have
            constants instead.
        largest_difference: Largest |output − output of the model|, divided by the largest |output
            of the model| of that name if the latter is above 1. Infinite if no outputs could be
            compared.
        tolerance: Largest difference that passes.
        reasons: Why the file did not pass, one sentence each. Empty if it passed.
        notices: Differences from the model that are no failure, such as the precision, one sentence
            each.
    """

    path: str
    format: str
    bytes: int
    weights_bytes: int
    nodes: int
    random_nodes: tuple[str, ...]
    variables: int
    largest_difference: float
    tolerance: float
    reasons: tuple[str, ...]
    notices: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the file holds the inference of the model and no trace of a drop."""
        return not self.reasons

    def __bool__(self) -> bool:
        """Returns `passed`, so that `assert verify_export(…)` fails if the file did not pass."""
        return self.passed

    def as_json(self) -> dict[str, Any]:
        """Returns the attributes and `passed` as JSON values.

        JSON has no infinite number: it is the string `"inf"`, which `float` reads.
        """
        found = {**dataclasses.asdict(self), "passed": self.passed}
        for name in ("largest_difference", "tolerance"):
            if not math.isfinite(found[name]):
                found[name] = str(found[name])
        return {key: list(v) if isinstance(v, tuple) else v for key, v in found.items()}

    def __str__(self) -> str:
        """Returns a summary of a few lines."""
        allowed = f"at most {self.tolerance:g}" if self.tolerance else "to the bit"
        return (
            f"{self.path} ({self.format}): {'passed' if self.passed else 'FAILED'}\n"
            f"  {self.bytes:,} bytes, the model's weights {self.weights_bytes:,}\n"
            f"  random or selecting among its {self.nodes:,} nodes: "
            f"{', '.join(self.random_nodes) or 'none'}\n"
            f"  largest difference of its outputs from the model's: {self.largest_difference:g} "
            f"({allowed})" + "".join(f"\n  {line}" for line in (*self.notices, *self.reasons))
        )


class ExportError(RuntimeError):
    """Raised if an export cannot be made or did not pass verification. Nothing was written.

    Args:
        message: One line.
        report: The report, or `None` if the file could not be made.
    """

    def __init__(self, message: str, report: ExportReport | None = None):
        super().__init__(message)
        self.report = report
