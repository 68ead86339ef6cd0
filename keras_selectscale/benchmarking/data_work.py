"""Opening folders of images next to Keras, and reading them next to a pipeline written by hand.

python -m keras_selectscale.benchmarking.data_work JSON
"""

from __future__ import annotations

import io
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_selectscale.benchmarking import peak_memory
from keras_selectscale.benchmarking.interleaving import interleaved
from keras_selectscale.benchmarking.summaries import compared
from keras_selectscale.environment import require

CLASSES, DISTINCT, EDGE, SIZE, BATCH = 10, 200, 32, 32, 128
# Most images of a measurement of a pipeline.
READ = 8192
LIMIT_SECONDS = 1800
# A pipeline is idle if the process uses less than this share of a core for so long.
IDLE, WAIT_SECONDS = 0.05, 0.03


def measure(options: Any, say: Callable[[str], Any]) -> Iterator[dict[str, Any]]:
    """Yields the rows: seconds, peak memory and CPU time; see `scale.run_scale`.

    Each opening is measured in a new process, after a folder of few images was opened in it. The
    peak is the operating system's, less the memory that was in use before.
    """
    for package in ("PIL", "tensorflow"):
        require(package, "data" if package == "PIL" else "tensorflow", "The benchmark data")
    with tempfile.TemporaryDirectory() as place:
        root, files = pathlib.Path(place), options.files
        for one_size in (False, True):
            kind = "of one size" if one_size else "of varying size"
            say(f"data  writing {files} images {kind}")
            folder = write_images(root / str(one_size), files, one_size, options.seed)
            write_images(root / f"few-{one_size}", 2 * CLASSES, one_size, options.seed)
            sides: dict[str, list] = {"ours": [], "map" if one_size else "keras": []}
            for number in range(options.rounds):
                for side, found in sides.items():
                    say(f"data  opening {files} images {kind}  {side}  round {number + 1}")
                    found.append(_in_process(side, folder, root / f"few-{one_size}"))
            ours, peer = sides.values()
            for name, unit in (("cpu", "CPU s"), ("seconds", "s"), ("memory", "MiB")):
                values = ([each[name] for each in side] for side in (ours, peer))
                yield compared(f"{files:,} images {kind}, opened", unit, *values)
            if one_size:
                pixels = files * EDGE**2 * 3 / 2**20
                peaks = [each["memory"] / pixels for each in ours]
                yield compared(f"{files:,} images {kind}, peak", "of the pixels", peaks, None)
        say("data  reading the images of varying size")
        yield from _read(root / "False", options)


def write_images(folder: pathlib.Path, count: int, one_size: bool, seed: int) -> pathlib.Path:
    """Writes a folder of small JPEGs: a few different ones, and links to them."""
    from PIL import Image

    random = np.random.default_rng(seed)
    pool = folder / "pool"
    pool.mkdir(parents=True)
    for number in range(min(DISTINCT, count)):
        height, width = (EDGE, EDGE) if one_size else random.integers(EDGE, EDGE + 9, 2).tolist()
        picture = Image.fromarray(random.integers(0, 256, (4, 4, 3), np.uint8))
        content = io.BytesIO()
        picture.resize((width, height), Image.Resampling.BILINEAR).save(content, "JPEG")
        (pool / str(number)).write_bytes(content.getvalue())
    held = count // 10 // CLASSES * CLASSES or CLASSES
    for part, images in (("test", held), ("train", count - held)):
        for number in range(images):
            home = folder / part / f"class{number % CLASSES}"
            if number < CLASSES:
                home.mkdir(parents=True)
            os.link(pool / str(number % min(DISTINCT, count)), home / f"{number:07d}.jpg")
    return folder


def open_here(side: str, folder: str, few: str) -> dict[str, float]:
    """Opens a folder in this process, and returns the seconds and the peak memory in MiB."""
    opener = {"ours": _ours, "keras": _keras, "map": _map}[side]
    opener(few)
    peak_memory.reset_peaks()
    before = peak_memory.of_process().now
    wall, cpu = time.perf_counter(), time.process_time()
    kept = opener(folder)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    memory = (peak_memory.of_process().peak - before) / 2**20
    del kept
    return {"cpu": cpu, "seconds": wall, "memory": memory}


def _in_process(side: str, folder: pathlib.Path, few: pathlib.Path) -> dict[str, float]:
    wanted = {"side": side, "folder": str(folder), "few": str(few)}
    done = subprocess.run(
        [sys.executable, "-m", "keras_selectscale.benchmarking.data_work", json.dumps(wanted)],
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise OSError(f"the process that opens {folder} ended with {done.returncode}: {last}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _ours(folder: str) -> Any:
    from keras_selectscale import data

    return data.load(f"folder:{folder}")


def _keras(folder: str) -> Any:
    import keras

    return [
        keras.utils.image_dataset_from_directory(
            f"{folder}/{part}", image_size=(SIZE, SIZE), batch_size=BATCH, verbose=False
        )
        for part in ("train", "test")
    ]


def _map(folder: str) -> Any:
    """Decodes with one map of tf.data, into one array for each part."""
    import tensorflow as tf

    def decoded(path):
        return tf.io.decode_jpeg(tf.io.read_file(path), 3)

    arrays = []
    for part in ("train", "test"):
        paths = sorted(str(path) for path in pathlib.Path(folder, part).rglob("*.jpg"))
        images = tf.data.Dataset.from_tensor_slices(paths)
        images = images.map(decoded, num_parallel_calls=tf.data.AUTOTUNE).batch(256).prefetch(1)
        array, start = np.empty((len(paths), EDGE, EDGE, 3), np.uint8), 0
        for batch in images.as_numpy_iterator():
            array[start : start + len(batch)] = batch
            start += len(batch)
        arrays.append(array)
    return arrays


def _read(folder: pathlib.Path, options: Any) -> Iterator[dict[str, Any]]:
    """Yields the rows of the CPU time per image of training batches, with the start and without."""
    import tensorflow as tf

    from keras_selectscale import data

    images = data.load(f"folder:{folder}", image_size=SIZE)
    count = math.ceil(min(READ, images.count("train")) / BATCH)
    with tf.device("CPU:0"):
        ours = data.training_batches(images, batch_size=BATCH, seed=options.seed)
        peer = by_hand(images, options.seed)
        started = {"ours": _starting(ours.take(count)), "peer": _starting(peer.take(count))}
        running = {"ours": _running(iter(ours), count), "peer": _running(iter(peer), count)}
    for kind, sides in (("first", started), ("further", running)):
        timings = interleaved(sides, rounds=options.rounds, seconds=1e-6, clock=time.process_time)
        each = {
            side: [1e6 * seconds / (count * BATCH) for seconds in found]
            for side, found in timings.seconds.items()
        }
        what = f"{kind} {count} training batches of varying size"
        yield compared(what, "CPU us per image", **each)


def _starting(batches: Any) -> Callable[[], None]:
    def read():
        for _ in batches:
            pass

    return read


def _running(batches: Iterator[Any], count: int) -> Callable[[], None]:
    """Returns a function that reads the next batches, and waits for those made in advance.

    Without the wait, the work of one side would be counted for another.
    """

    def read():
        for _ in range(count):
            next(batches)
        used = -1.0
        while time.process_time() - used > IDLE * WAIT_SECONDS:
            used = time.process_time()
            time.sleep(WAIT_SECONDS)

    return read


def by_hand(images: Any, seed: int) -> Any:
    """Returns training batches with `tf.image`: window, mirroring, light, size and range."""
    import tensorflow as tf

    from keras_selectscale.data.augmentation import EIGENVALUES, EIGENVECTORS

    source, augmentation = images.encoded("train"), images.augmentation
    paths, labels = tf.constant(list(source.paths)), tf.constant(source.labels)
    boxes = tf.zeros((1, 0, 4))

    def prepared(number):
        encoded = tf.io.read_file(paths[number])
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            tf.image.extract_jpeg_shape(encoded),
            boxes,
            min_object_covered=0.0,
            aspect_ratio_range=(1 / augmentation.widest_aspect, augmentation.widest_aspect),
            area_range=(augmentation.smallest_area, 1.0),
            max_attempts=10,
            use_image_if_no_bounding_boxes=True,
        )
        window = tf.concat([begin[:2], size[:2]], 0)
        pixels = tf.image.decode_and_crop_jpeg(encoded, window, channels=3)
        pixels = tf.image.random_flip_left_right(pixels)
        pixels = tf.image.resize(pixels, (SIZE, SIZE)) / 255.0
        light = tf.random.normal((3,), stddev=augmentation.lighting) * EIGENVALUES
        pixels += tf.linalg.matvec(EIGENVECTORS, light)
        return (pixels - images.mean) / images.std, labels[number]

    numbers = tf.data.Dataset.range(len(source)).shuffle(len(source), seed=seed).repeat()
    prepared_images = numbers.map(prepared, num_parallel_calls=tf.data.AUTOTUNE)
    return prepared_images.batch(BATCH).prefetch(tf.data.AUTOTUNE)


if __name__ == "__main__":
    print(json.dumps(open_here(**json.loads(sys.argv[1]))))
