"""Made-up results: what comes of them is known."""

MODE = {"mode": "graph", "precision": "float32"}


def layers():
    """Two shapes; SelectScale takes 1/2 and 2 of Keras' time, and 2 of SpatialScale's."""
    times = [
        ((2, 4, 4, 8), {"keras-spatial-dropout": 4.0, "selectscale": 2.0, "spatial-scale": 1.0}),
        ((2, 2, 2, 16), {"keras-spatial-dropout": 1.0, "selectscale": 2.0, "spatial-scale": 1.0}),
    ]
    cases = [
        {
            **MODE,
            "data": "signed",
            "shape": list(shape),
            "seconds": {
                **{side: [time, 3 * time, 2 * time] for side, time in sides.items()},
                "none": [0.5] * 3,
                "copy": [0.5, 1.5, 1.0],
            },
            "calls": {},
            "failed": {},
        }
        for shape, sides in times
    ]
    copies = [{**MODE, "seconds": {"64": [1.0], "4096": [2.0, 4.0, 3.0]}, "failed": {}}]
    return {"cases": cases, "copies": copies}


def steps():
    about = {"network": "resnet-8", **MODE}
    seconds = {
        "none": [1.0, 2.0, 1.0],
        "keras-spatial-dropout": [2.0, 5.0, 2.0],
        "selectscale": [1.5, 3.0, 1.0],
    }
    case = {**about, "batch_size": 30, "seconds": seconds, "calls": {}, "failed": {}}
    peaks = {"none": 100, "keras-spatial-dropout": 200, "selectscale": 150}
    memory = [
        {**about, "side": side, "peak": peak << 20, "step": (peak - 80) << 20, "failed": {}}
        for side, peak in peaks.items()
    ]
    return [case], memory


def growth():
    """The channels cost what they are; the batch costs nothing."""
    cases = []
    for varied, cost in (("channels", 1.0), ("batch", 0.0)):
        for value in (16, 32, 64, 128):
            shape = [64, 8, 8, value] if varied == "channels" else [value, 16, 16, 64]
            time = 1e-4 * value**cost
            cases.append(
                {
                    **MODE,
                    "varied": varied,
                    "value": value,
                    "shape": shape,
                    "seconds": {"selectscale": [time] * 3, "selectout": [2 * time] * 3},
                    "failed": {},
                }
            )
    return cases
