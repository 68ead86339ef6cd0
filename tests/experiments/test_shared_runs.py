import json
import sys

import pytest

from keras_selectscale import gpus
from keras_selectscale.experiments.cells import open_cells
from keras_selectscale.experiments.shared_runs import share_runs
from keras_selectscale.training import Recipe

RESULT = {"test_error": 3.0, "train_error": 1.0, "parameters": 1, "epochs": 1}
RESULT |= {"seconds": 1.0, "images_per_second": 1.0}
# Writes the result and the GPU of a run.
TRAIN = """
import json, os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
(folder / "result.json").write_text(sys.argv[2])
(folder / "gpu.txt").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", ""))
"""


def cells_in(folder):
    recipe = Recipe(network="resnet-8", dataset="digits", epochs=1)
    return open_cells([("cell", recipe, folder / "cell" / f"seed{seed}") for seed in range(3)])


def test_each_run_has_its_process_and_its_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv(gpus.VISIBLE, "4,7")
    cells = cells_in(tmp_path)
    said = []

    def command(cell):
        return [sys.executable, "-c", TRAIN, str(cell.run.path), json.dumps(RESULT)]

    share_runs(cells, 2, command, tmp_path / "logs", said.append)
    assert all(cell.run.read_result()["test_error"] == 3.0 for cell in cells)
    found = [(cell.run.path / "gpu.txt").read_text() for cell in cells]
    assert found[:2] == ["4", "7"] and found[2] in ("4", "7")
    assert sum(", on GPU 4," in line for line in said) + found.count("7") == 3
    # Finished runs are not trained again.
    share_runs(cells, 2, lambda cell: ["false"], tmp_path / "logs", said.append)


def test_a_process_that_fails_is_named(tmp_path):
    program = "import sys; print('no space left'); sys.exit(3)"
    with pytest.raises(ChildProcessError, match="cell, seed 0 ended with status 3: no space left"):
        share_runs(
            cells_in(tmp_path),
            1,
            lambda cell: [sys.executable, "-c", program],
            tmp_path / "logs",
            lambda line: None,
        )
