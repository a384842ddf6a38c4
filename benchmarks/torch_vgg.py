"""VGG-16 with batch normalisation as public PyTorch code for CIFAR has it: configuration D, normalisation before each
ReLU, average to 1x1, one linear layer; SGD 0.1, momentum 0.9, weight decay 5e-4. Needs PyTorch; knows no TensorFlow,
whose threads would be in its way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

PLAN = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")


def vgg16_bn(classes: int) -> nn.Module:
    """The network in channels-last layout: float32 [n, 3, 32, 32] to logits [n, classes]."""
    layers: list[nn.Module] = []
    channels = 3
    for step in PLAN:
        if isinstance(step, int):
            layers += [nn.Conv2d(channels, step, 3, padding=1), nn.BatchNorm2d(step), nn.ReLU(inplace=True)]
            channels = step
        else:
            layers.append(nn.MaxPool2d(2))
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
    return network.to(memory_format=torch.channels_last)


def computing(bfloat16: bool) -> Any:
    """PyTorch's own bfloat16 on the CPU, or its float32."""
    return torch.autocast("cpu", torch.bfloat16) if bfloat16 else contextlib.nullcontext()


def stepper(network: nn.Module, bfloat16: bool, learning_rate: float = 0.1) -> Callable[[Any, Any, float], None]:
    """A function of images [n, 3, h, w], labels and the share of the learning rate that makes one training step."""
    optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate, momentum=0.9, weight_decay=5e-4)
    loss = nn.CrossEntropyLoss()

    def step(images: Any, labels: Any, share: float = 1.0) -> None:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * share
        optimizer.zero_grad()
        with computing(bfloat16):
            answers = network(images.contiguous(memory_format=torch.channels_last))
            error = loss(answers, labels)
        error.backward()
        optimizer.step()

    return step


def augmented(images: Any) -> Any:
    """A random crop of the images padded by four pixels, and a random flip: [n, 3, h, w]."""
    count, _, height, width = images.shape
    rows, columns = torch.randint(0, 9, (2, count, 1))
    padded = nn.functional.pad(images, (4, 4, 4, 4)).permute(0, 2, 3, 1)
    columns = columns + torch.arange(width)
    columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
    each = torch.arange(count)[:, None, None]
    return padded[each, (rows + torch.arange(height))[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
