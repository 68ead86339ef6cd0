"""The cells of the paper's tables as data, with their published errors, and further recipes."""

from keras_selectscale.checks import value_error
from keras_selectscale.object_checks import as_string
from keras_selectscale.recipes import cifar, controls, imagenet, low_data
from keras_selectscale.recipes.published_cell import PublishedCell

__all__ = ["PublishedCell", "get", "names", "select"]

_CELLS = {
    cell.name: cell for source in (cifar, imagenet, controls, low_data) for cell in source.cells()
}


def names() -> list[str]:
    """Returns the names of all cells, the paper's first, in the order in which it prints them."""
    return list(_CELLS)


def get(name: str) -> PublishedCell:
    """Returns the cell called `name`.

    Args:
        name: A name of `names()`. The row of Table 3 may be omitted if the method has one row.

    Raises:
        TypeError: If `name` is not a string.
        ValueError: If no cell has this name, or more than one.
    """
    found = select(name)
    if len(found) > 1:
        expected = f"the name of one cell: {', '.join(cell.name for cell in found)}"
        raise value_error("name", expected, name)
    return found[0]


def select(name: str) -> list[PublishedCell]:
    """Returns the cells of a table, of a network in it, or the cell of a full name.

    The controls and the low-data protocol are named as tables are.

    Raises:
        TypeError: If `name` is not a string.
        ValueError: If there is no such cell.
    """
    as_string("name", name)
    found = [cell for key, cell in _CELLS.items() if f"{key}/".startswith(f"{name}/")]
    if not found:
        expected = (
            "a table (table1 to table4), controls, lowdata, a network of one of them, or a cell "
            "such as 'table1/wrn-20-4/selectscale'; see `list recipes`"
        )
        raise value_error("name", expected, name)
    return found
