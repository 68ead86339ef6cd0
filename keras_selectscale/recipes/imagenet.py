"""Table 4: ResNet-50 on ImageNet."""

from collections.abc import Iterator
from typing import Any

from keras_selectscale.recipes.published_cell import PublishedCell
from keras_selectscale.training import Recipe

# Method, its rates (Section 3.5), top-1 and top-5 error.
TABLE4: tuple[tuple[str, dict[str, Any], float, float], ...] = (
    ("none", {}, 23.89, 7.06),
    ("dropout", {"retaining_rate": 0.9}, 23.97, 7.12),
    ("spatial-dropout", {"retaining_rate": 0.9}, 23.76, 7.04),
    ("selectscale", {"retaining_rate": 0.2, "top_rate": 0.1}, 23.38, 6.78),
)
EPOCHS = 105
MILESTONES = tuple(epoch / EPOCHS for epoch in (30, 60, 90, 100))
# The drop rate of the third group is half that of the fourth (Section 3.5).
GROUP_FACTORS = ((3, 0.5), (4, 1.0))


def cells() -> Iterator[PublishedCell]:
    """Yields the cells of Table 4 in their printed order."""
    for method, rates, error, top5_error in TABLE4:
        dropped = method != "none"
        yield PublishedCell(
            name=f"table4/resnet-50/{method}",
            source="Table 4",
            recipe=Recipe(
                network="resnet-50",
                dataset="imagenet2012",
                drop=method,
                curriculum="linear" if dropped else "none",
                group_factors=GROUP_FACTORS if dropped else None,
                epochs=EPOCHS,
                batch_size=256,
                milestones=MILESTONES,
                decay_factor=0.1,
                weight_decay=1e-4,
                **rates,
            ),
            error=error,
            top5_error=top5_error,
        )
