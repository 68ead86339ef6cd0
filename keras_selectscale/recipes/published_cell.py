"""One cell of the paper's tables."""

import dataclasses

from keras_selectscale.training import Recipe


@dataclasses.dataclass(frozen=True)
class PublishedCell:
    """One cell of the paper's tables: what was trained, and the error that was published.

    Attributes:
        name: Table, network and drop method, for Table 3 the row as well:
            `table1/wrn-20-4/selectscale`, `table3/resnext-29-8x64d/none/1`.
        source: Where it stands in the paper.
        recipe: The run, but for its seed.
        error: Published test error in percent; the top-1 error on ImageNet.
        deviation: Published standard deviation over the runs in points, where there is one.
        top5_error: Published top-5 error in percent, on ImageNet.
        runs: Over how many runs the paper averages; 1 where it does not say.
        text_top_rate: Top rate that the text gives where it is not the caption's, which is the
            recipe's.
        note: What the paper says elsewhere, or leaves open.
    """

    name: str
    source: str
    recipe: Recipe
    error: float
    deviation: float | None = None
    top5_error: float | None = None
    runs: int = 1
    text_top_rate: float | None = None
    note: str = ""
