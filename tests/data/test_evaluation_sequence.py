import numpy as np
import pytest

from keras_selectscale import data
from keras_selectscale.data.evaluation_sequence import EvaluationSequence


@pytest.mark.parametrize("split", ["test", "train"])
def test_it_gives_what_tf_data_gives(split):
    pytest.importorskip("tensorflow")
    images = data.load("digits", train_size=130, seed=1)
    ours = EvaluationSequence(images, 50, split)
    theirs = list(data.evaluation_batches(images, batch_size=50, split=split))
    assert len(ours) == len(theirs) == -(-len(getattr(images, f"{split}_labels")) // 50)
    for number, (pixels, labels) in enumerate(theirs):
        own_pixels, own_labels = ours[number]
        np.testing.assert_allclose(own_pixels, pixels.numpy(), rtol=1e-6, atol=1e-6)
        assert own_pixels.dtype == np.float32
        assert own_labels.tolist() == labels.numpy().tolist()
