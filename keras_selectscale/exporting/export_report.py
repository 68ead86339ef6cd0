"""What the proof of an exported file found."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """What the proof of an exported file found.

    Attributes:
        path: The file or folder.
        format: Its format.
        bytes: Its size.
        weights_bytes: Size of the weights that the model reads in inference.
        nodes: Number of nodes of its graph, all functions and subgraphs included; of the layers
            of a `.keras` file.
        random_nodes: Types of the nodes that draw, select or cannot be looked into, and that the
            model without its drops has not; an export without drops has none.
        variables: Number of variables in it; 0 in an ONNX or LiteRT file, where they are constants.
        largest_difference: Largest |output − the model's output|, divided by the largest
            |the model's output| of the same name where that is above 1; infinite where there was
            nothing to compare.
        tolerance: What `largest_difference` may be.
        reasons: Why the file did not pass, a sentence each; empty where it did.
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

    @property
    def passed(self) -> bool:
        """Whether the file holds the model's inference and no trace of a drop."""
        return not self.reasons

    def as_json(self) -> dict[str, Any]:
        """Returns the attributes and `passed` as JSON values."""
        found = {**dataclasses.asdict(self), "passed": self.passed}
        return {key: list(v) if isinstance(v, tuple) else v for key, v in found.items()}

    def __str__(self) -> str:
        """Returns a few lines."""
        allowed = f"at most {self.tolerance:g}" if self.tolerance else "to the bit"
        return (
            f"{self.path} ({self.format}): {'passed' if self.passed else 'FAILED'}\n"
            f"  {self.bytes:,} bytes, the model's weights {self.weights_bytes:,}\n"
            f"  random or selecting among its {self.nodes:,} nodes: "
            f"{', '.join(self.random_nodes) or 'none'}\n"
            f"  largest difference of its outputs from the model's: {self.largest_difference:g} "
            f"({allowed})" + "".join(f"\n  {reason}" for reason in self.reasons)
        )
