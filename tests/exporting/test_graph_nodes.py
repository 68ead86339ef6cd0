import pytest

from keras_selectscale.exporting.graph_nodes import forbidden, is_random, is_selecting

RANDOM = """
    RandomUniform RandomStandardNormal RandomShuffle Multinomial TruncatedNormal
    ParameterizedTruncatedNormal RandomGamma RandomPoissonV2 StatefulUniform
    StatefulStandardNormalV2 StatefulTruncatedNormal StatefulUniformInt StatefulRandomBinomial
    RngReadAndSkip StatelessRandomUniformV2 StatelessRandomGetKeyCounter StatelessMultinomial
    StatelessTruncatedNormalV2 StatelessShuffle XlaRngBitGenerator FractionalMaxPool
    SampleDistortedBoundingBoxV2 LogUniformCandidateSampler EagerPyFunc PyFunc XlaCallModule
    RandomNormalLike RandomUniformLike Bernoulli Dropout
    RANDOM_UNIFORM RANDOM_STANDARD_NORMAL MULTINOMIAL STABLEHLO_RNG_BIT_GENERATOR
    FlexStatelessRandomUniformV2 FlexRandomShuffle
""".split()
SELECTING = "TopK TopKV2 ApproxTopK NthElement XlaSort TOPK_V2 STABLEHLO_SORT FlexTopKV2".split()
NEITHER = """
    Conv2D FusedBatchNormV3 L2Normalize UniformQuantizedConvolution UniformDequantize StatelessIf
    StatelessWhile StatefulPartitionedCall PartitionedCall UnsortedSegmentSum ArgMax SelectV2
    RaggedTensorToTensor LRNGrad NonMaxSuppressionV5 GridSample Upsample DepthToSpace ReadVariableOp
    LayerNormalization Resize Where FULLY_CONNECTED ARG_MAX UNSORTED_SEGMENT_MAX HARD_SWISH
""".split()


@pytest.mark.parametrize("node", RANDOM)
def test_what_draws(node):
    assert is_random(node) and forbidden([node], [node]) == (node,)


@pytest.mark.parametrize("node", SELECTING)
def test_what_selects(node):
    assert is_selecting(node) and not is_random(node)
    assert forbidden([node, "Add"], ["Add"]) == (node,)
    assert forbidden([node, "Add"], ["Add", "TopKV2"]) == ()


@pytest.mark.parametrize("node", NEITHER)
def test_what_does_neither(node):
    assert not is_random(node) and not is_selecting(node)
