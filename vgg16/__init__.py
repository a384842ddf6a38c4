"""VGG-16 image classification: data, model, training, judgement and registry. Knows no Prefect, reads no environment."""
