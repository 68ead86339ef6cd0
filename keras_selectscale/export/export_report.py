"""What the check of an exported file found."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """What the check of an exported file found.

    Attributes:
        path: The file or folder.
        size: Its bytes.
        nodes: Number of graph nodes, all functions included.
        random_nodes: Types of the nodes that draw or select; an export without drops has none.
        variables: Number of variables in it.
        largest_difference: Largest absolute difference of its outputs from the model's.
    """

    path: str
    size: int
    nodes: int
    random_nodes: tuple[str, ...]
    variables: int
    largest_difference: float

    @property
    def passed(self) -> bool:
        """Whether nothing random is in it and its outputs equal the model's to the bit."""
        return not self.random_nodes and self.largest_difference == 0.0

    def __str__(self) -> str:
        """Returns one line."""
        random = ", ".join(self.random_nodes) or "none"
        return (
            f"{self.path}: {self.size / 1024:.0f} KiB, {self.variables} variables, "
            f"random or selecting operations among its {self.nodes} nodes: {random}; "
            f"largest difference of its outputs from the model's: {self.largest_difference:g}"
        )
