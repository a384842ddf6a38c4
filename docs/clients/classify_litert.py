"""python classify_litert.py model.tflite picture.jpg ...   It needs ai-edge-litert, NumPy and Pillow."""

import json
import sys
from zipfile import ZipFile

from ai_edge_litert.interpreter import Interpreter
from square import square

runner = Interpreter(sys.argv[1]).get_signature_runner()
with ZipFile(sys.argv[1]) as archive:
    facts = json.loads(archive.read("vgg16.json"))
for file in sys.argv[2:]:
    outputs = runner(images=square(file, facts["side"], **facts["framing"])[None])
    answer = {name: values[0] for name, values in outputs.items()}
    best = answer["probabilities"].argmax()
    typicality = float(answer["typicality"]) if "typicality" in answer else None
    told = {"label": facts["class_names"][best], "probability": float(answer["probabilities"][best])}
    print(json.dumps({"image": file, **told, "typicality": typicality}))
