"""Handlers for TensorFlow operations that tf2onnx 1.17 does not convert or converts wrongly.

A handler has the form that tf2onnx requires: it receives the graph, a node, the node's name and a
list that is empty here, and replaces the node by ONNX nodes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

SIGN_BIT = np.iinfo("int32").min


def _erfc(ctx: Any, node: Any, name: str, args: list) -> None:
    """erfc(x) = 1 - erf(x): the exact GELU of Keras."""
    x = node.input[0]
    erf = ctx.make_node("Erf", [x])
    _replace(ctx, node, "Sub", [_constant(ctx, 1, x), erf.output[0]])


def _expm1(ctx: Any, node: Any, name: str, args: list) -> None:
    x = node.input[0]
    exp = ctx.make_node("Exp", [x])
    _replace(ctx, node, "Sub", [exp.output[0], _constant(ctx, 1, x)])


def _log1p(ctx: Any, node: Any, name: str, args: list) -> None:
    x = node.input[0]
    plus_1 = ctx.make_node("Add", [x, _constant(ctx, 1, x)])
    _replace(ctx, node, "Log", [plus_1.output[0]])


def _bitcast(ctx: Any, node: Any, name: str, args: list) -> None:
    """Replaces the test of the sign bit with which Keras' argmax distinguishes -0.0 from 0.0.

    ONNX cannot read the bits of a float. Any other use of them remains and is refused as an
    operation that ONNX does not have.
    """
    readers = ctx.find_output_consumers(node.output[0])
    if not readers or not all(_reads_sign_bit(reader) for reader in readers):
        return
    x = node.input[0]
    zero = _constant(ctx, 0, x)
    below = ctx.make_node("Less", [x, zero])
    inverse = ctx.make_node("Reciprocal", [x])  # -inf for -0.0.
    inverse_below = ctx.make_node("Less", [inverse.output[0], zero])
    negative = ctx.make_node("Or", [below.output[0], inverse_below.output[0]])
    bits = [
        ctx.make_const(f"{node.name}/{bit}", np.array(bit, "int32")).output[0]
        for bit in (SIGN_BIT, 0)
    ]
    _replace(ctx, node, "Where", [negative.output[0], *bits])
    for reader in readers:
        reader.type = "Identity"
        ctx.replace_inputs(reader, node.output)


def _reads_sign_bit(reader: Any) -> bool:
    if reader.type != "BitwiseAnd":
        return False
    masks = [x.get_tensor_value() for x in reader.inputs if x.is_const()]
    return masks == [SIGN_BIT]


def _bicubic(ctx: Any, node: Any, name: str, args: list) -> None:
    """Replaces a bicubic resize between known sizes by the matrices of TensorFlow's weights.

    TensorFlow takes the weights from a table. Those of ONNX differ from it by up to 1e-4.
    """
    sizes = ctx.get_shape(node.input[0])[1:3]
    if -1 in sizes or not node.inputs[1].is_const():
        _convert_as_tf2onnx(ctx, node)
        return
    x = node.input[0]
    for axis, target in enumerate(node.inputs[1].get_tensor_value()):
        matrix = _bicubic_weights(node, sizes[axis], target)
        weights = ctx.make_const(f"{node.name}/axis_{axis}", matrix).output[0]
        if axis == 0:  # The matrix product is over the last but one axis.
            x = ctx.make_node("Transpose", [x], attr={"perm": [0, 2, 1, 3]}).output[0]
        x = ctx.make_node("MatMul", [weights, x]).output[0]
        if axis == 0:
            x = ctx.make_node("Transpose", [x], attr={"perm": [0, 2, 1, 3]}).output[0]
    _replace(ctx, node, "Identity", [x])


def _bicubic_weights(node: Any, size: int, target: int) -> np.ndarray:
    """Returns the matrix of one axis: the operation applied to the unit vectors of that axis."""
    import tensorflow as tf

    # tf2onnx runs within a graph, in which nothing is computed eagerly.
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        resized = tf.raw_ops.ResizeBicubic(
            images=np.eye(size, dtype="float32").reshape(1, size, 1, size),
            size=[target, 1],
            align_corners=bool(node.get_attr_value("align_corners", False)),
            half_pixel_centers=bool(node.get_attr_value("half_pixel_centers", False)),
        )
        return session.run(resized).reshape(target, size)


def _grouped_conv3d(ctx: Any, node: Any, name: str, args: list) -> None:
    """Sets the number of groups, which tf2onnx does only in 1-D and 2-D."""
    axis = 1 if node.get_attr_value("data_format") == b"NCDHW" else -1
    channels, inside = ctx.get_shape(node.input[0])[axis], ctx.get_shape(node.input[1])[-2]
    _convert_as_tf2onnx(ctx, node)
    node.set_attr("group", channels // inside)


def _convert_as_tf2onnx(ctx: Any, node: Any) -> None:
    """Applies tf2onnx's converter, which a handler of this name hides."""
    from tf2onnx import handler

    function, kwargs = handler.tf_op.create_mapping(ctx.opset, ctx.extra_opset)[node.type]
    function(ctx, node, **kwargs)


def pad_the_outputs(content: Any) -> None:
    """Adds the missing rows to transposed convolutions whose stride exceeds the kernel.

    tf2onnx writes them as negative padding, which ONNX does not allow. In TensorFlow they are at
    the end.
    """
    for node in content.graph.node:
        attributes = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type != "ConvTranspose" or "pads" not in attributes:
            continue
        pads = list(attributes["pads"].ints)
        rank = len(pads) // 2
        total = [pads[axis] + pads[rank + axis] for axis in range(rank)]
        if min(total) >= 0:
            continue
        added = attributes.get("output_padding") or node.attribute.add()
        added.name, added.type = "output_padding", attributes["pads"].type
        added.ints[:] = [max(0, -size) for size in total]
        attributes["pads"].ints[:] = [
            0 if total[index % rank] < 0 else pad for index, pad in enumerate(pads)
        ]


def _constant(ctx: Any, value: float, like: str) -> str:
    """Returns the name of a scalar of the dtype of a tensor."""
    from tf2onnx import utils

    dtype = utils.map_onnx_to_numpy_type(ctx.get_dtype(like))
    return ctx.make_const(utils.make_name("scalar"), np.array(value, dtype)).output[0]


def _replace(ctx: Any, node: Any, operation: str, inputs: list[str]) -> None:
    """Replaces a node by an ONNX node with the same outputs."""
    shapes, dtypes = node.output_shapes, node.output_dtypes
    ctx.remove_node(node.name)
    ctx.make_node(
        operation, inputs, outputs=node.output, name=node.name, shapes=shapes, dtypes=dtypes
    )


HANDLERS: dict[str, Callable[[Any, Any, str, list], None]] = {
    "Erfc": _erfc,
    "Expm1": _expm1,
    "Log1p": _log1p,
    "Bitcast": _bitcast,
    "Conv3D": _grouped_conv3d,
    "ResizeBicubic": _bicubic,
}
