"""VGG-16 image classification: data, model, training, judgement and registry. No Prefect, no environment."""
