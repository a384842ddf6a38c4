"""What answers when pictures are scored: the model in Keras, or its proven ONNX file."""
