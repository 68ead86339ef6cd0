"""The registry of drop methods.

A method registers itself where its layer is defined, with everything that the command line, the
recipes, the search, the comparison and the benchmark need to know about it.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import keras

from keras_selectscale.checks import ArgumentValueError, as_choice, shown

T = TypeVar("T", bound=type)

# Stands for `SHARED` in the docstring of a layer.
MARK = "{shared}"
# What the docstrings of all layers have in common, below their own arguments.
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

PACKAGE = "keras_selectscale"
# The paper's tables, in their order. Other methods follow in the order of their names.
PAPER_METHODS = (
    "none",
    "dropout",
    "spatial-dropout",
    "spatial-scale",
    "selectout",
    "selectscale",
)
# Values that a search draws from by default. The paper's rates are tenths (Tables 1 and 2, Figure
# 4). A retaining rate of 1 means no drop; search "none" for that.
TOP_RATES = tuple(tenth / 10 for tenth in range(1, 11))
SCALE_RATES = tuple(tenth / 10 for tenth in range(10))
DROPOUT_RATES = tuple(tenth / 10 for tenth in range(5, 10))


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
        space: What a search draws.
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
    """The registered methods by name: the paper's in its order, then the others."""

    def __init__(self) -> None:
        self._methods = {"none": Method("none", "without data drop")}

    def add(self, method: Method) -> None:
        self._methods[method.name] = method

    def __getitem__(self, name: str) -> Method:
        return self._methods[name]

    def __iter__(self) -> Iterator[str]:
        paper = [name for name in PAPER_METHODS if name in self._methods]
        return iter([*paper, *sorted(set(self._methods) - set(paper))])

    def __len__(self) -> int:
        return len(self._methods)


METHODS = _Registry()


def drop_method(
    name: str, *, title: str, defaults: Mapping[str, Any], space: SearchSpace
) -> Callable[[T], T]:
    """Registers a layer class as a drop method, and with Keras under this package's name.

    Args:
        name: Name on the command line and in recipes.
        title: Name in tables.
        defaults: Arguments of the layer if the user gives none, in the order of the tables.
        space: What a search draws.

    Example:

    ```python
    @drop_method(
        "spatial-scale",
        title="SpatialScale",
        defaults={"retaining_rate": 0.4},
        space=SearchSpace({"retaining_rate": SCALE_RATES}),
    )
    class SpatialScale(FeatureDrop): ...
    ```
    """

    def register(layer: T) -> T:
        layer.__doc__ = with_shared_text(layer.__doc__)
        METHODS.add(Method(name, title, layer, defaults, space))
        return keras.saving.register_keras_serializable(package=PACKAGE)(layer)

    return register


def with_shared_text(docstring: str | None) -> str | None:
    """Returns a docstring in which `SHARED` replaces the line `{shared}`."""
    return docstring and docstring.replace(f"        {MARK}", SHARED)


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
