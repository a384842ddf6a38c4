"""What a challenger must show."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from vgg16.config.types.frozen import Setting

# Version 0.1's names of gate rules and policies.
RENAMED_RULES = {"level": "alpha", "margin": "noninferiority_margin", "worth": "min_gain"}
RENAMED_POLICIES = {"no-worse": "non-inferior"}


# What a promotion may write beside ONNX.
ExportFormat = Literal["litert", "litert-float16", "litert-int8", "savedmodel"]


class GateRules(Setting):
    """What a challenger must show on the gate split. Shares and differences of top-1 are 0 to 1."""

    floor: float = Field(default=0.5, ge=0, le=1)
    """Top-1 that the first version of a name must reach, with the lower end of its 95 % interval."""
    policy: Literal["better", "non-inferior"] = "better"
    """better promotes what is significantly better than the champion; non-inferior, for retraining on fresh data, what
    is at most noninferiority_margin worse than the best version that was ever promoted."""
    alpha: float = Field(default=0.025, gt=0, lt=0.5)
    """Chance that of all challengers which are not better any passes, however often a split has judged: the first
    judgement is made at 0.61 of it, the k-th at a k^2-th of that. Images that are newer than a champion may spend half
    of it once more: docs/explanation/gate.md."""
    noninferiority_margin: float = Field(default=0.005, gt=0, lt=1)
    """Loss of top-1 that the policy non-inferior accepts."""
    min_gain: float = Field(default=0.02, ge=0, lt=1)
    """Where even the upper end of the interval gains less top-1, more images would not help, and the verdict is no."""
    max_ece: float = Field(default=0.1, gt=0, le=1)
    """Largest calibration error of the probabilities."""
    max_latency_ms: float = Field(default=1000, gt=0)
    """Longest answer to one image, in milliseconds."""
    max_megabytes: float = Field(default=1000, gt=0)
    """Largest model file."""
    approval: bool = False
    """What may be promoted waits in Staging for a person."""
    waits_days: int = Field(default=90, ge=1, le=36500)
    """How many days a version waits in Staging, for a person or for more images, before it is archived."""
    exports: tuple[ExportFormat, ...] = ()
    """Formats of which a version must have a proven file before it is promoted, beside ONNX, of which each has one."""

    @model_validator(mode="before")
    @classmethod
    def _as_0_1_spelt_it(cls, values: Any) -> Any:
        """Experiments of 0.1 are read back from MLflow."""
        if not isinstance(values, dict):
            return values
        renamed = {RENAMED_RULES.get(name, name): value for name, value in values.items()}
        if len(renamed) < len(values):  # one rule by both names is refused
            return values
        if "policy" in renamed:
            renamed["policy"] = RENAMED_POLICIES.get(str(renamed["policy"]), renamed["policy"])
        return renamed
