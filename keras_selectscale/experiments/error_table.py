"""The table of test errors with drops at test time, a CSV file."""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Iterable

from keras_selectscale import files
from keras_selectscale.tables import read_rows


@dataclasses.dataclass(frozen=True)
class Settings:
    """What all rows of a table were computed with.

    Attributes:
        network: Name of the network.
        digest: Digest of its weights.
        dataset: Name of the dataset.
        images: Number of test images.
        precision: Name of the dtype policy.
        seed: Seed of all draws.
    """

    network: str
    digest: str
    dataset: str
    images: int
    precision: str
    seed: int


@dataclasses.dataclass(frozen=True)
class Point:
    """The test error of one draw.

    Attributes:
        method: Name of the method, or `"none"`.
        top_rate: Top rate, or `None`.
        retaining_rate: Retaining rate.
        draw: Number of the draw.
        error: Test error in percent.
    """

    method: str
    top_rate: float | None
    retaining_rate: float
    draw: int
    error: float

    @property
    def key(self) -> tuple[str, float | None, float, int]:
        """What identifies the point in a table."""
        return self.method, self.top_rate, self.retaining_rate, self.draw


def read_table(path: pathlib.Path, settings: Settings | None = None) -> list[Point]:
    """Returns the points of a table, none if there is no file.

    Raises:
        DamagedFileError: If the file is damaged.
        ValueError: If it was computed with other settings.
    """
    if not path.exists():
        return []
    points = [point for _, point in read_rows(path, Point)]
    if settings is not None:
        ours = dataclasses.asdict(settings)
        for _, row in read_rows(path, Settings):
            other = dataclasses.asdict(row)
            if changed := [
                f"{n}: {other[n]} there, {ours[n]} here" for n in ours if ours[n] != other[n]
            ]:
                raise ValueError(
                    f"{path} holds another table ({', '.join(changed)}): choose another file, or "
                    "remove that one"
                )
    return points


def write_table(path: pathlib.Path, points: Iterable[Point], settings: Settings) -> None:
    """Writes a table under a temporary name and renames it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    common = dataclasses.asdict(settings)
    writer.writerow([*Point.__dataclass_fields__, *common])
    for point in points:
        values = dataclasses.astuple(point)
        writer.writerow(["" if v is None else v for v in values] + list(common.values()))
    files.write_text(path, text.getvalue())
