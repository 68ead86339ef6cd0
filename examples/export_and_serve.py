"""Exports a trained network in three formats, each proved, and serves them in their runtimes.

python examples/export_and_serve.py

It needs `pip install '.[all]'`.

Prints, on TensorFlow 2.21, next to the messages of the converters:

    onnx: 8 nodes, difference 6e-08
    litert: 4 nodes, difference 6e-08
    tf_saved_model: 88 nodes, difference 0e+00
    TFSMLayer: classes [4 4 7 7 7], as the model: True
    onnxruntime: classes [4 4 7 7 7], as the model: True
    LiteRT: classes [4 4 7 7 7], as the model: True
"""

import pathlib
import tempfile

import keras
import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from keras_selectscale import SelectScale, data, export


def main():
    keras.utils.set_random_seed(0)
    digits = data.load("digits")
    images = keras.Input(digits.input_shape, name="images")
    x = layers.Conv2D(32, 3, activation="relu")(images)
    x = SelectScale(top_rate=0.2, retaining_rate=0.4)(x)
    x = layers.GlobalMaxPooling2D()(x)
    model = keras.Model(images, layers.Dense(10, activation="softmax", name="classes")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(digits.train_images / 255, digits.train_labels, epochs=5, verbose=0)

    batch = (digits.test_images[:5] / 255).astype("float32")
    expected = model.predict(batch, verbose=0)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for path, format in (("m.onnx", "onnx"), ("m.tflite", "litert"), ("m", "tf_saved_model")):
            report = export(model, folder / path, format)
            assert report  # It passed: no drop, no random operation, the model's outputs.
            print(f"{format}: {report.nodes} nodes, difference {report.largest_difference:.0e}")

        served = keras.layers.TFSMLayer(folder / "m", call_endpoint="serving_default")
        found = {"TFSMLayer": served(batch)["classes"]}

        session = onnxruntime.InferenceSession(str(folder / "m.onnx"))
        found["onnxruntime"] = session.run(["classes"], {"images": batch})[0]

        interpreter = Interpreter(model_path=str(folder / "m.tflite"))
        found["LiteRT"] = interpreter.get_signature_runner()(images=batch)["classes"]
    for runtime, outputs in found.items():
        same = np.allclose(outputs, expected, atol=1e-5)
        print(f"{runtime}: classes {np.argmax(outputs, -1)}, as the model: {same}")


if __name__ == "__main__":
    main()
