"""The search itself, in this process."""

from typing import Any

from keras_selectscale import data as datasets
from keras_selectscale.data import Dataset
from keras_selectscale.tuning.drop_tuner import WAIT_SECONDS, DropTuner
from keras_selectscale.tuning.search import Search
from keras_selectscale.tuning.search_folder import SearchFolder


def load_for_search(search: Search, data_dir: str | None = None) -> Dataset:
    """Returns what a search may see: training images, and others of them held out to score by.

    The dataset's own test images are not among them.

    Raises:
        FileNotFoundError: Where the dataset is not there.
        ValueError: Where there are too few images to hold some out.
    """
    return datasets.validation_split(
        load_for_winner(search, data_dir), share=search.validation_share, seed=search.recipe.seed
    )


def load_for_winner(search: Search, data_dir: str | None = None) -> Dataset:
    """Returns all training images, and the dataset's own test images."""
    recipe = search.recipe
    return datasets.load(
        recipe.dataset,
        data_dir=data_dir,
        train_size=recipe.train_size,
        seed=recipe.seed,
        image_size=recipe.image_size,
    )


def run_search(
    search: Search,
    folder: SearchFolder,
    images: Dataset,
    *,
    listener: Any = None,
    wait_seconds: float = WAIT_SECONDS,
) -> None:
    """Runs the trials that are missing; as the environment says, as chief or worker.

    Args:
        search: What to search.
        folder: Its folder, opened.
        images: As `load_for_search` gives them.
        listener: As of `DropTuner`.
        wait_seconds: How long a chief and its workers wait for each other.

    Raises:
        TimeoutError: Where one of them waited longer.
    """
    tuner = DropTuner(
        search.hypermodel(images),
        search.tuner,
        folder.path,
        trials=search.trials,
        seeds=search.seeds,
        max_epochs=search.recipe.epochs,
        early_stopping=search.early_stopping,
        figure4=search.figure4,
        seed=search.seed,
        wait_seconds=wait_seconds,
        listener=listener,
    )
    tuner.search(images)
