"""Each cell of the paper's tables as data, with its published error."""

from keras_selectscale.recipes import cifar, imagenet
from keras_selectscale.recipes.published_cell import PublishedCell

__all__ = ["PublishedCell", "get", "names", "select"]

_CELLS = {cell.name: cell for cell in (*cifar.cells(), *imagenet.cells())}


def names() -> list[str]:
    """Returns the names of all cells in the order in which the paper prints them."""
    return list(_CELLS)


def get(name: str) -> PublishedCell:
    """Returns the cell called `name`.

    Args:
        name: A name of `names()`; the row of Table 3 may be left out where the method has one row.

    Raises:
        ValueError: Where no cell, or more than one, is so called.
    """
    found = select(name)
    if len(found) > 1:
        raise ValueError(
            f"Argument `name` must be one cell, {name!r} is {len(found)}: "
            f"{', '.join(cell.name for cell in found)}"
        )
    return found[0]


def select(name: str) -> list[PublishedCell]:
    """Returns the cells of a table, of a network in it, or the one cell of a full name.

    Raises:
        ValueError: Where there is none.
    """
    found = [cell for key, cell in _CELLS.items() if f"{key}/".startswith(f"{name}/")]
    if not found:
        raise ValueError(
            "Argument `name` must be a table (table1 to table4), a table's network or a cell such "
            f"as 'table1/wrn-20-4/selectscale'; see `list recipes`. Received: name={name!r}"
        )
    return found
