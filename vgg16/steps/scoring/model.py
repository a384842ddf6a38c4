"""Which model a request names, by what nothing moves."""

from __future__ import annotations

from dataclasses import dataclass

from vgg16.errors import RequestError, Vgg16Error
from vgg16.records import DatasetRef, ModelVersion
from vgg16.workplace.workplace import Workplace


@dataclass(frozen=True)
class Model:
    """A model by the address that was asked for and by one that nothing moves; its digest, and whether it resizes what
    it takes; the registered `version` that it is, None for none, the temperature that its logits are divided by, and
    the dataset that it learned from, where that is known."""

    requested: str
    address: str
    digest: str
    resizes: bool
    version: ModelVersion | None
    temperature: float
    dataset: DatasetRef | None

    def renamed(self, workplace: Workplace) -> dict[str, str]:
        """What its dataset calls class folders of other names; {} where the store does not have it any more."""
        try:
            return workplace.dataset_row(self.dataset).classes if self.dataset else {}
        except Vgg16Error:
            return {}


def find_model(uri: str, workplace: Workplace) -> Model:
    """The model at an address. Raises RequestError where there is none, Vgg16Error for one that is damaged."""
    registry = workplace.tracker.registry
    try:
        version = registry.version_at(uri)
    except RequestError:
        # One that was logged and not registered, or none.
        checked = registry.check(uri)
        return Model(uri, uri, checked.digest, checked.resizing, None, 1.0, None)
    checked = registry.check(version.uri)
    dataset = workplace.tracker.runs.get(version.run_id).dataset
    temperature = version.metrics.get("temperature", 1.0)
    return Model(uri, version.uri, checked.digest, checked.resizing, version, temperature, dataset)
