"""Pictures of class activation maps over images, the form of the paper's Figures 1 and 5."""

import pathlib
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_selectscale.checks import value_error
from keras_selectscale.experiments.comparison_figure import check_drawable
from keras_selectscale.files import replacing
from keras_selectscale.surgery.class_activation import ActivationMaps
from keras_selectscale.wording import literal

CHANNELS = (1, 3, 4)
LONGEST_LINE = 22  # Of a column's title.
LONGEST_NAME = 16  # Of a class.


def draw(
    pixels: np.ndarray,
    columns: Sequence[tuple[str, ActivationMaps]],
    path: pathlib.Path,
    *,
    labels: Sequence[int] | np.ndarray | None = None,
    class_names: Sequence[str] = (),
) -> None:
    """Draws a row for each image: the image, and its map by each network or after each epoch.

    A map is enlarged to the image and scaled from 0 to its own maximum. Above it stand the class
    and its probability.

    Args:
        pixels: Images in [0, 1] of shape (images, height, width, channels).
        columns: The title of each column with the maps of all images.
        path: PNG file to write. An existing one stays until the new one is complete.
        labels: True classes, written above the images.
        class_names: Name of each class; without names, their numbers are written.

    Raises:
        ValueError: If the images have another number of channels than a picture.
    """
    check_drawable()
    if pixels.shape[-1] not in CHANNELS:
        raise value_error("pixels", "images of 1, 3 or 4 channels", pixels.shape)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, width = len(pixels), 1 + len(columns)
    figure = Figure(figsize=(1.7 * width, 1.85 * rows + 0.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, width, squeeze=False)
    height, across = pixels.shape[1:3]
    grey: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1}
    for row, image in enumerate(pixels):
        shown = image[..., 0] if image.shape[-1] == 1 else image
        first = "" if labels is None else f"label: {class_title(labels[row], class_names)}"
        panels[row, 0].set_title(first, fontsize=8)
        panels[row, 0].imshow(shown, **grey)
        for axes, (_, found) in zip(panels[row, 1:], columns, strict=True):
            axes.imshow(shown, **grey)
            values = np.maximum(found.maps[row], 0)
            axes.imshow(
                values,
                cmap="jet",
                alpha=0.5,
                interpolation="bilinear",
                vmin=0,
                vmax=max(float(values.max()), 1e-12),
                extent=(-0.5, across - 0.5, height - 0.5, -0.5),
            )
            chance = found.probabilities[row]
            name = class_title(found.classes[row], class_names)
            axes.set_title(f"{name} {chance:.2f}", fontsize=8)
    for axes in panels.flat:
        axes.set_axis_off()
    for place, title in enumerate(["image", *(title for title, _ in columns)]):
        top = panels[0, place]
        wrapped = literal(textwrap.fill(title, LONGEST_LINE))
        top.set_title(f"{wrapped}\n{top.get_title()}", fontsize=8)
    with replacing(path) as beside:
        figure.savefig(beside, format="png")


def class_title(number: Any, class_names: Sequence[str]) -> str:
    """Returns the name of a class, shortened, or its number if it has none."""
    if not 0 <= int(number) < len(class_names):
        return str(int(number))
    # The names of folders may have bytes that are no text.
    name = " ".join(class_names[int(number)].encode("utf-8", "replace").decode().split())
    return literal(name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…")
