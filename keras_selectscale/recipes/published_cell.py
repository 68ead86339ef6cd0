"""One cell of the paper's tables, or a recipe beside them."""

import dataclasses

from keras_selectscale.training import Recipe


@dataclasses.dataclass(frozen=True)
class PublishedCell:
    """One cell of the paper's tables: what was trained, and the published error.

    A control and a cell of the low-data protocol have no published error.

    Attributes:
        name: Table, network and drop method, for Table 3 also the row:
            `table1/wrn-20-4/selectscale`, `table3/resnext-29-8x64d/none/1`.
        source: Place in the paper, or what the recipe is for.
        recipe: Recipe of the runs, apart from their seeds.
        error: Published test error in percent, on ImageNet the top-1 error; `None` if there is
            none.
        deviation: Published standard deviation over the runs in percentage points, if any.
        top5_error: Published top-5 error in percent, on ImageNet.
        runs: Number of runs that the paper averages, 1 if it does not say; of a recipe without a
            published error, the usual number.
        text_top_rate: Top rate in the paper's text, if it differs from the caption's. The recipe
            has the caption's.
        note: What the paper says elsewhere, or leaves open.
    """

    name: str
    source: str
    recipe: Recipe
    error: float | None
    deviation: float | None = None
    top5_error: float | None = None
    runs: int = 1
    text_top_rate: float | None = None
    note: str = ""
