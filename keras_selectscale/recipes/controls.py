"""Controls: what the paper's claim must be held against, and no published error."""

import dataclasses
from collections.abc import Iterator

from keras_selectscale.recipes import cifar
from keras_selectscale.recipes.published_cell import PublishedCell

RUNS = 5
LONG_EPOCHS = 400
RANDOM = "control: as many maps as SelectScale scales, chosen at random"
LOWEST = "control: as many maps as SelectScale scales, chosen from the bottom"
AFTER = "the other reading of where a drop stands: behind the ReLU after a block's addition"
LONG = (
    "control: twice the epochs without a drop; published results for a nearly equal network "
    "improve from 4.9% to 4.0% by that alone"
)
CONTROL_SCORES = {"random": RANDOM, "lowest": LOWEST}


def cells() -> Iterator[PublishedCell]:
    """Yields the controls of Table 1's WRN-20-4."""
    table = {cell.name: cell.recipe for cell in cifar.cells()}
    plain, drop = (table[f"table1/wrn-20-4/{method}"] for method in ("none", "selectscale"))
    changed = {
        **{
            f"selectscale-{score}": (dataclasses.replace(drop, score=score), note)
            for score, note in CONTROL_SCORES.items()
        },
        "selectscale-after-addition": (
            dataclasses.replace(drop, last_drop="after_addition"),
            AFTER,
        ),
        f"none-{LONG_EPOCHS}": (dataclasses.replace(plain, epochs=LONG_EPOCHS), LONG),
    }
    for name, (recipe, note) in changed.items():
        yield PublishedCell(
            name=f"controls/wrn-20-4/{name}",
            source="control",
            recipe=recipe,
            error=None,
            runs=RUNS,
            note=note,
        )
