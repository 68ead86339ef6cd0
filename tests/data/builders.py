"""Small datasets as TensorFlow Datasets prepares them, whose records keep their order."""

import pathlib
from collections.abc import Iterable, Mapping
from typing import Any


def prepare(
    data_dir: pathlib.Path,
    name: str,
    features: Mapping[str, Any],
    splits: Mapping[str, Iterable[Mapping[str, Any]]],
    *,
    config: str | None = None,
    version: str = "1.0.0",
    **info: Any,
) -> pathlib.Path:
    """Writes a dataset of a name under `data_dir`, and returns its version folder.

    Args:
        data_dir: Folder of all prepared datasets.
        name: Name of the builder, in snake case.
        features: Its features; `None` among the names leaves them bare.
        splits: The examples of each split, in order.
        config: Name of its config.
        version: Its version.
        info: Further arguments of `tfds.core.DatasetInfo`.
    """
    import tensorflow_datasets as tfds

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version(version)
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=config)] if config else []

        def _info(self):
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(features), disable_shuffling=True, **info
            )

        def _split_generators(self, dl_manager):
            return {split: enumerate(examples) for split, examples in splits.items()}

        def _generate_examples(self):
            raise NotImplementedError

    Builder.name = name
    folder = data_dir / name / (config or "") / version
    Builder(data_dir=data_dir, config=config).download_and_prepare()
    return folder


def image_features(height: int | None = None, width: int | None = None, **options: Any) -> dict:
    """Returns an image and a label of two classes; `channels` and `encoding_format` may be said."""
    import tensorflow_datasets as tfds

    channels = options.pop("channels", 3)
    return {
        "file_name": tfds.features.Text(),
        "image": tfds.features.Image(shape=(height, width, channels), **options),
        "label": tfds.features.ClassLabel(names=["a", "b"]),
    }


def from_folder(folder: pathlib.Path, test: str = "test") -> dict[str, list[dict[str, Any]]]:
    """Returns the splits of a folder's images, class by class in the order of the names."""
    return {
        split: [
            {"file_name": path.name, "image": str(path), "label": path.parent.name}
            for path in sorted((folder / part).glob("*/*"))
        ]
        for part, split in (("train", "train"), ("test", test))
    }
