"""python classify_onnx.py model.onnx picture.jpg ...   It needs onnxruntime, NumPy and Pillow."""

import json
import os
import sys

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else onnxruntime tells Microsoft of each file that it opens

import onnxruntime
from square import square

session = onnxruntime.InferenceSession(sys.argv[1])
facts = session.get_modelmeta().custom_metadata_map
class_names, side, framing = (json.loads(facts[key]) for key in ("class_names", "side", "framing"))
for file in sys.argv[2:]:
    outputs = session.run(None, {"images": square(file, side, **framing)[None]})
    answer = {output.name: values[0] for output, values in zip(session.get_outputs(), outputs, strict=True)}
    best = answer["probabilities"].argmax()
    typicality = float(answer["typicality"]) if "typicality" in answer else None
    told = {"label": class_names[best], "probability": float(answer["probabilities"][best])}
    print(json.dumps({"image": file, **told, "typicality": typicality}))
