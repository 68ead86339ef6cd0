"""Runs one after the other."""

import weakref
from types import SimpleNamespace

from rich.progress import Progress

from keras_selectscale.experiments import cells


def test_one_subset_is_held_at_a_time(monkeypatch):
    """All at once, those of 300 seeds took gigabytes; finished runs need none."""
    alive = weakref.WeakSet()

    class Subset:
        pass

    class Subsets(dict):
        def __missing__(self, pair):
            assert pair[1] >= 2  # The first two are finished.
            subset = Subset()
            alive.add(subset)
            return subset

    def train(recipe, run, images, **options):
        assert list(alive) == [images]
        return {"test_error": 1.0, "seconds": 1.0}

    monkeypatch.setattr(cells, "train", train)
    runs = [
        SimpleNamespace(
            title="cell",
            recipe=SimpleNamespace(dataset="digits", seed=seed),
            run=SimpleNamespace(read_result=lambda seed=seed: {"seed": seed} if seed < 2 else None),
        )
        for seed in range(5)
    ]
    with Progress(disable=True) as progress:
        results = cells.run_cells(runs, Subsets(), progress)
    assert len(results) == 5 and not alive
