"""Draws the pictures of docs/pictures.md: feature maps of a photo before and after each method.

python docs/pictures/draw_idea.py

Trains a small network for some seconds to tell the patches of scikit-learn's two photos apart, and
applies it to one of the photos as a whole.
"""

import pathlib

import keras
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

import keras_selectscale as ks

FOLDER = pathlib.Path(__file__).resolve().parent
CHANNELS, TOP_RATE, PATCH = 8, 0.25, 32
METHODS = {
    "StandardDropout\nretaining_rate=0.7": ks.StandardDropout(retaining_rate=0.7, seed=1),
    "SpatialDropout\nretaining_rate=0.7": ks.SpatialDropout(retaining_rate=0.7, seed=3),
    "SpatialScale\nretaining_rate=0.1": ks.SpatialScale(retaining_rate=0.1, seed=3),
    "Selectout\ntop_rate=0.25\nretaining_rate=0.875": ks.Selectout(
        top_rate=TOP_RATE, retaining_rate=0.875, seed=4
    ),
    "SelectScale\ntop_rate=0.25\nretaining_rate=0.1": ks.SelectScale(
        top_rate=TOP_RATE, retaining_rate=0.1, seed=3
    ),
}
SELECTED, OTHER = "#d35400", "#7f8c8d"


def trained_maps(photo: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the maps of `photo` in the second convolution of a network that knows both."""
    rng = np.random.default_rng(0)
    patches, labels = [], []
    for label, image in enumerate((photo, other)):
        for _ in range(600):
            top, left = (rng.integers(0, size - PATCH) for size in image.shape[:2])
            patches.append(image[top : top + PATCH, left : left + PATCH])
            labels.append(label)
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Conv2D(16, 5, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(CHANNELS, 5, padding="same", activation="relu", name="maps"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    model.fit(np.array(patches), np.array(labels), epochs=6, batch_size=64, verbose=2)
    to_maps = keras.Model(model.inputs[0], model.get_layer("maps").output)
    return keras.ops.convert_to_numpy(to_maps(photo[None]))


def draw_scores(photo: np.ndarray, maps: np.ndarray, selected: np.ndarray) -> None:
    """Draws the photo, its maps with the selected ones framed, and the scores."""
    figure = plt.figure(figsize=(9, 5.2), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(3, 6, height_ratios=(1, 1, 1.1))
    image = figure.add_subplot(grid[:2, :2])
    image.imshow(photo)
    image.set_title("image")
    image.axis("off")
    for channel in range(CHANNELS):
        axis = figure.add_subplot(grid[channel // 4, 2 + channel % 4])
        show(axis, maps[..., channel], maps.max(), framed=channel in selected)
        axis.set_title(f"map {channel}", fontsize=10)
    bars = figure.add_subplot(grid[2, :])
    scores = maps.max(axis=(0, 1))
    colors = [SELECTED if channel in selected else OTHER for channel in range(CHANNELS)]
    bars.bar(range(CHANNELS), scores, color=colors)
    bars.set_xticks(range(CHANNELS))
    bars.set_xlabel("map")
    bars.set_ylabel("score: largest |value|")
    bars.set_title(f"top_rate={TOP_RATE} selects {len(selected)} of {CHANNELS} maps", fontsize=11)
    bars.spines[["top", "right"]].set_visible(False)
    save(figure, "scores.png")


def draw_methods(maps: np.ndarray, selected: np.ndarray) -> None:
    """Draws the maps as they are, and after one training call of each method."""
    rows = {"input": maps[None]}
    for name, layer in METHODS.items():
        rows[name] = keras.ops.convert_to_numpy(layer(maps[None], training=True))
    figure, axes = plt.subplots(
        len(rows), CHANNELS, figsize=(11, 6.2), layout="constrained", facecolor="white"
    )
    for row, (name, values) in zip(axes, rows.items(), strict=True):
        selects = "top_rate" in name or name == "input"
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        for channel, axis in enumerate(row):
            show(axis, values[0, ..., channel], 1.5 * maps.max(), selects and channel in selected)
            axis.set_xlabel(change(maps[..., channel], values[0, ..., channel], name), fontsize=9)
    for channel in range(CHANNELS):
        axes[0, channel].set_title(f"map {channel}", fontsize=10)
    save(figure, "methods.png")


def change(before: np.ndarray, after: np.ndarray, name: str) -> str:
    """Returns the factor of a map, or what a method of units did."""
    if name == "input":
        return ""
    if name.startswith("StandardDropout"):
        return "0 or ×1.43"
    return f"×{after.sum() / before.sum():.2f}" if before.sum() else "empty"


def show(axis: plt.Axes, values: np.ndarray, largest: float, framed: bool) -> None:
    """Draws one map on the scale that all maps share."""
    axis.imshow(values, cmap="magma", vmin=0, vmax=largest)
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set(color=SELECTED if framed else "#cccccc", linewidth=3 if framed else 0.5)


def save(figure: plt.Figure, name: str) -> None:
    """Writes a picture with few colors, which takes a third of the bytes."""
    figure.savefig(FOLDER / name, dpi=110)
    with Image.open(FOLDER / name) as picture:
        picture.convert("RGB").quantize(128).save(FOLDER / name, optimize=True)


def main() -> None:
    keras.utils.set_random_seed(0)
    photos = [load_sample_image(name)[::2, ::2] / 255.0 for name in ("flower.jpg", "china.jpg")]
    photo, other = (image.astype("float32") for image in photos)
    maps = trained_maps(photo, other)[0]
    count = max(1, round(TOP_RATE * CHANNELS))
    selected = np.argsort(-maps.max(axis=(0, 1)), kind="stable")[:count]
    draw_scores(photo, maps, selected)
    draw_methods(maps, selected)


if __name__ == "__main__":
    main()
