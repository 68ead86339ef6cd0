"""The registry of drop methods.

A layer class registers itself as a method by its attributes, which hold everything that the command
line, the recipes, the search, the comparison and the benchmark need to know: `method_name`,
`method_title`, `method_defaults` and `method_space` (see `Method`).
"""

import dataclasses
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_selectscale.checks import ArgumentValueError, as_choice, shown
from keras_selectscale.layers.feature_drop import FeatureDrop

# Stands for `SHARED` in the docstring of a layer.
MARK = "{shared}"
# The part that the docstrings of all layers share, below their own arguments.
SHARED = """\
        data_format: `"channels_last"` or `"channels_first"`; `None` means
            `keras.config.image_data_format()`.
        seed: Integer in [0, 2**31), or `None` for a seed drawn at random.
        **kwargs: `name`, `dtype` and `trainable`, as in `keras.layers.Layer`. `dtype` must compute
            in floating point.

    Call arguments:
        inputs: Floating-point tensor of rank 3 to 5 with a known number of channels.
        training: Whether to draw. If `False` or omitted, `inputs` is returned unchanged.

    Input shape:
        (batch, ..., channels) or (batch, channels, ...), depending on `data_format`, with one to
        three spatial axes.

    Output shape:
        Same as the input shape.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range, or the input is not a batch of feature maps."""

# The paper's tables, in their order. Other methods follow in the order of their names.
PAPER_METHODS = (
    "none",
    "dropout",
    "spatial-dropout",
    "spatial-scale",
    "selectout",
    "selectscale",
)


@dataclasses.dataclass(frozen=True)
class SearchSpace:
    """The values that a search draws for a method, one hyperparameter per layer argument.

    A method whose arguments depend on each other subclasses this and draws other hyperparameters.

    Attributes:
        values: Values by argument name.
    """

    values: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)

    def choices(self, given: Mapping[str, Sequence[Any]]) -> dict[str, tuple[Any, ...]]:
        """Returns the values of each hyperparameter.

        Args:
            given: Values that replace the defaults, by argument name. Arguments that the method
                does not have are ignored.

        Returns:
            Values by hyperparameter name. An empty tuple means that nothing is feasible.
        """
        return {name: tuple(given.get(name, values)) for name, values in self.values.items()}

    def arguments(
        self, drawn: Mapping[str, Any], given: Mapping[str, Sequence[Any]]
    ) -> dict[str, Any]:
        """Returns the layer's arguments for drawn hyperparameters.

        Args:
            drawn: One value for each hyperparameter of `choices(given)`.
            given: As `choices` takes it.
        """
        return dict(drawn)

    def lowest_retaining_rate(self, top_rate: float) -> float:
        """Returns the lowest feasible retaining rate for a top rate, by default 0."""
        return 0.0

    def infeasible(self) -> str:
        """Returns the reason why `choices` may be empty, to end an error message."""
        return "the method divides by the retaining rate, which must be above 0"


@dataclasses.dataclass(frozen=True)
class Method:
    """A drop method.

    Attributes:
        name: Its name on the command line and in recipes.
        title: Its name in tables.
        layer: Its layer class; `None` for no drop.
        defaults: Arguments of the layer if the user gives none, by name.
        space: Values that a search draws.
    """

    name: str
    title: str
    layer: Any = None
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    space: SearchSpace = SearchSpace()

    @property
    def divides(self) -> bool:
        """Whether the method divides by its retaining rate, so that the rate must be above 0."""
        return getattr(self.layer, "divides_by_retaining_rate", False)

    def takes(self, argument: str) -> bool:
        """Returns whether the layer has a keyword argument of this name."""
        return self.layer is not None and any(
            argument in inspect.signature(base.__init__).parameters
            for base in self.layer.__mro__
            if "__init__" in vars(base) and base is not object
        )

    @property
    def retaining_rate(self) -> float | None:
        """Default retaining rate, or `None` for no drop."""
        return self.defaults.get("retaining_rate")

    @property
    def top_rate(self) -> float | None:
        """Default top rate, or `None` if the method does not select."""
        return self.defaults.get("top_rate")

    def choices(self, given: Mapping[str, Sequence[Any]]) -> dict[str, tuple[Any, ...]]:
        """Returns `space.choices`, without retaining rates that the method cannot divide by.

        Args:
            given: Values that replace the defaults, by argument name.
        """
        return self.space.choices(self._divisible(given))

    def arguments(
        self, drawn: Mapping[str, Any], given: Mapping[str, Sequence[Any]]
    ) -> dict[str, Any]:
        """Returns `space.arguments`. The arguments are those of `SearchSpace.arguments`."""
        return self.space.arguments(drawn, self._divisible(given))

    def _divisible(self, given: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        if not self.divides or "retaining_rate" not in given:
            return dict(given)
        return {**given, "retaining_rate": [rate for rate in given["retaining_rate"] if rate > 0]}


class _Registry(Mapping[str, Method]):
    """The methods by name: the paper's in its order, then the others by name.

    They are the subclasses of `FeatureDrop` that have been imported and define a `method_name`.
    """

    def _found(self) -> dict[str, Method]:
        found = {"none": Method("none", "without data drop")}
        waiting: list[Any] = [FeatureDrop]
        while waiting:
            layer = waiting.pop()
            waiting += layer.__subclasses__()
            if "method_name" in vars(layer):
                space = layer.method_space
                found[layer.method_name] = Method(
                    layer.method_name,
                    layer.method_title,
                    layer,
                    layer.method_defaults,
                    space if isinstance(space, SearchSpace) else SearchSpace(space),
                )
        return found

    def __getitem__(self, name: str) -> Method:
        return self._found()[name]

    def __iter__(self) -> Iterator[str]:
        found = self._found()
        paper = [name for name in PAPER_METHODS if name in found]
        return iter([*paper, *sorted(set(found) - set(paper))])

    def __len__(self) -> int:
        return len(self._found())


METHODS = _Registry()


def complete_docstrings() -> None:
    """Replaces the line `{shared}` in the docstrings of all layers by `SHARED`."""
    for layer in (FeatureDrop, *(method.layer for method in METHODS.values() if method.layer)):
        layer.__doc__ = (layer.__doc__ or "").replace(f"        {MARK}", SHARED)


def get_method(name: str) -> Method:
    """Returns the method called `name`.

    Raises:
        ValueError: If no method has this name.
    """
    return METHODS[as_choice("drop", name, METHODS)]


def make_drop(drop: str, **arguments: Any) -> Any:
    """Returns the drop layer of a method, or `None` for `"none"`.

    Args:
        drop: Name of a method.
        **arguments: Arguments of the layer. `None` stands for the method's default.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If the method is unknown, has no such argument, or a value is out of range.
    """
    method = get_method(drop)
    given = {name: value for name, value in arguments.items() if value is not None}
    for name, value in given.items():
        if not method.takes(name):
            takers = [key for key, other in METHODS.items() if other.takes(name)]
            raise ArgumentValueError.about(
                name,
                f"Argument `{name}` goes with the drops {takers}. "
                f"Received: {name}={shown(value)} with drop={drop!r}",
            )
    return None if method.layer is None else method.layer(**{**method.defaults, **given})
