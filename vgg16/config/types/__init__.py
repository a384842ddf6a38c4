"""Types of what we ask for. Every value is frozen, refuses unknown keys, and is logged whole."""

from vgg16.config.types.dataset import (
    SPLITS,
    Archive,
    Dataset,
    DatasetChoice,
    Fit,
    Framing,
    NearDuplicatesIn,
    Reviewed,
    SmallClasses,
    Split,
)
from vgg16.config.types.experiment import Experiment, Question, Study
from vgg16.config.types.facts import EXPECTATIONS, FACTS, MEASURES, NEAR, TEXTS, Expectation, Profile
from vgg16.config.types.frozen import KEPT, Frozen
from vgg16.config.types.gate import RENAMED_POLICIES, RENAMED_RULES, GateRules
from vgg16.config.types.names import BareName, Key, is_bare, is_key
from vgg16.config.types.network import Backbone, BackboneChoice, Head, Pretrained
from vgg16.config.types.training import Augmentation, Device, Optimizer, Phase, Precision, Schedule

__all__ = [
    "EXPECTATIONS",
    "FACTS",
    "KEPT",
    "MEASURES",
    "NEAR",
    "RENAMED_POLICIES",
    "RENAMED_RULES",
    "SPLITS",
    "TEXTS",
    "Archive",
    "Augmentation",
    "Backbone",
    "BackboneChoice",
    "BareName",
    "Dataset",
    "DatasetChoice",
    "Device",
    "Expectation",
    "Experiment",
    "Fit",
    "Framing",
    "Frozen",
    "GateRules",
    "Head",
    "Key",
    "NearDuplicatesIn",
    "Optimizer",
    "Phase",
    "Precision",
    "Pretrained",
    "Profile",
    "Question",
    "Reviewed",
    "Schedule",
    "SmallClasses",
    "Split",
    "Study",
    "is_bare",
    "is_key",
]
