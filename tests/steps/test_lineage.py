"""A version's lineage: each link broken in turn is named, and no other one, in a home of two versions that were really
trained, the second from the first. Each break is undone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Answer
from tests.exported import FILES, export, keep
from vgg16.config import catalog
from vgg16.config.types import BackboneChoice, Dataset, DatasetChoice, Experiment, Head
from vgg16.data.reviews import kept
from vgg16.data.reviews.decisions import Decision
from vgg16.errors import RequestError, Vgg16Error
from vgg16.promotion import ledger, reconcile
from vgg16.records import TrainingRequest
from vgg16.steps import fresh_process
from vgg16.steps.data.add import add
from vgg16.steps.data.fetch import fetch
from vgg16.steps.fit import load_base
from vgg16.steps.lineage import check, named, packages
from vgg16.steps.lineage.data import data, review
from vgg16.steps.lineage.lineage import Lineage
from vgg16.steps.lineage.trained import base
from vgg16.storage.addresses import path_of
from vgg16.storage.files import sha256_of
from vgg16.workplace import settings
from vgg16.workplace.workplace import Workplace, open_workplace

pytestmark = pytest.mark.usefixtures("tensorflow")

NAME = "vgg16-digits"
TINY = {
    "name": "digits-tiny",
    "description": "for tests",
    "dataset": {"name": "digits", "limit": 100},
    "backbone": BackboneChoice(name="vgg11", width=0.05, batch_norm="after"),
    "head": Head(units=(16,)),
    "phases": [{"epochs": 2, "optimizer": {"learning_rate": 0.01}}],
    "batch_size": 20,
}


class Asked:
    """What answers in place of a fresh process: this one, which asks a model once."""

    def __init__(self, workplace: Workplace, folder: Path) -> None:
        self.workplace = workplace
        self.folder = folder
        self.answers: dict[Any, Any] = {}

    def ask(self, name: str, versions: tuple[str, ...], dataset: Any, _: Path) -> Any:
        if (name, versions) not in self.answers:
            folder = self.folder / str(len(self.answers))
            folder.mkdir()
            question = fresh_process.Question(name=name, versions=versions, dataset=dataset, folder=folder)
            self.answers[name, versions] = fresh_process.answer(question, self.workplace)
        return self.answers[name, versions]


class Home:
    """A home of two versions, of which version 2 is in production, after version 1."""

    def __init__(self, workplace: Workplace, scorer: Asked) -> None:
        self.workplace = workplace
        self.scorer = scorer
        self.registry: Any = workplace.tracker.registry
        self.client = self.registry.client

    @property
    def run_id(self) -> str:
        return str(self.registry.version(NAME, "2").run_id)

    def links(self, name: str = NAME, number: str = "2") -> dict[str, check.CheckedLink]:
        lineage = Lineage(name, number, self.workplace, self.scorer, lambda _: None)  # type: ignore[arg-type]
        return {link.name: link for link in check.check(lineage)}

    def model_file(self, version: str, name: str) -> Path:
        return path_of(self.client.get_model_version_download_uri(NAME, version)) / name

    def artifact(self, name: str) -> Path:
        return path_of(self.client.get_run(self.run_id).info.artifact_uri) / name

    def ledger(self, number: int) -> Path:
        return self.workplace.home / "store" / "ledger" / NAME / f"{number:06d}.json"

    def proven(self, number: str) -> Path:
        (sha256,) = {
            entry.exports["onnx"] for entry in ledger.entries(self.workplace.store, NAME) if entry.version == number
        }
        return self.workplace.home / "store" / "exports" / f"{sha256}.onnx"

    def dataset(self, name: str) -> Path:
        ref = self.workplace.tracker.runs.get(self.run_id).trained_on
        return self.workplace.home / "store" / ref.key / name


def train(base: str, workplace: Workplace) -> None:
    from vgg16.steps import evaluate, register
    from vgg16.steps.fit import fit

    experiment = Experiment.model_validate(TINY | {"base": base or None})
    ref = fetch(DatasetChoice(name="digits", limit=100), "", "", workplace)
    run, uri = fit(TrainingRequest(experiment=experiment, dataset=ref, base=base), workplace)
    register.register(evaluate.on_gate(run, uri, workplace).run, uri, workplace)


def promote(number: str, scorer: Asked, workplace: Workplace) -> None:
    from vgg16.steps.judge import judge

    registry, store = workplace.tracker.registry, workplace.store
    standing = reconcile.settle(registry, store, NAME, export).standing
    judged = judge(registry.version(NAME, number), standing, "production", scorer, workplace)  # type: ignore[arg-type]
    facts = {"name": NAME, "action": "promote", "version": number, "verdict": "promote", "reasons": ("good",)}
    facts |= {
        "exports": keep(store, NAME, number, judged.model_digest),
        "evidence": judged.evidence,
        "dataset_digest": judged.dataset_digest,
        "model_digest": judged.model_digest,
    }
    reconcile.decide(registry, store, standing, facts, "me")
    reconcile.settle(registry, store, NAME, export)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tensorflow: Any) -> Iterator[Home]:
    """The home; its path has a space."""
    import mlflow

    before = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGG16_HOME", str(tmp_path_factory.mktemp("a home")))
        patch.setattr(reconcile, "LOOK_AGAIN_SECONDS", 0.0)
        settings.load.cache_clear()
        workplace = open_workplace()
        scorer = Asked(workplace, tmp_path_factory.mktemp("answers"))
        for number, base in (("1", ""), ("2", f"models:/{NAME}/1")):
            train(base, workplace)
            promote(number, scorer, workplace)
        yield Home(workplace, scorer)
    settings.load.cache_clear()
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


Break = Callable[[Home], AbstractContextManager[None]]


def file(find: Callable[[Home], Path], change: Callable[[bytes], bytes | None]) -> Break:
    """A file with its content changed, None for none."""

    @contextmanager
    def broken(home: Home) -> Iterator[None]:
        path = find(home)
        content = path.read_bytes()
        changed = change(content)
        # Anew: other names of the file keep what it was.
        path.unlink()
        if changed is not None:
            path.write_bytes(changed)
        yield
        path.write_bytes(content)

    return broken


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def replaced(old: str, new: str) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        assert old.encode() in content
        return content.replace(old.encode(), new.encode())

    return change


def facts(**changed: Any) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps(json.loads(content) | changed, indent=1).encode()


def row(statement: str, undo: str) -> Break:
    """A row of MLflow's database changed behind its back; `{run}` is the run."""

    @contextmanager
    def broken(home: Home) -> Iterator[None]:
        for each in (statement, undo):
            with sqlite3.connect(home.workplace.home / "mlflow.db") as database:
                assert database.execute(each.format(run=home.run_id)).rowcount == 1
            database.close()
            if each is statement:
                yield

    return broken


def tag(key: str, value: str | None) -> Break:
    @contextmanager
    def broken(home: Home) -> Iterator[None]:
        before = home.client.get_run(home.run_id).data.tags[key]
        if value is None:
            home.client.delete_tag(home.run_id, key)
        else:
            home.client.set_tag(home.run_id, key, value)
        yield
        home.client.set_tag(home.run_id, key, before)

    return broken


@contextmanager
def version_tag(home: Home) -> Iterator[None]:
    before = home.registry.model_digest(NAME, "2")
    home.client.set_model_version_tag(NAME, "2", "vgg16.model_digest", "0" * 64)
    yield
    home.client.set_model_version_tag(NAME, "2", "vgg16.model_digest", before)


@contextmanager
def alias_moved(home: Home) -> Iterator[None]:
    home.client.set_registered_model_alias(NAME, "champion", "1")
    yield
    home.client.set_registered_model_alias(NAME, "champion", "2")


@contextmanager
def ledger_elsewhere(home: Home) -> Iterator[None]:
    here = home.registry.state(NAME).ledger
    home.client.set_registered_model_tag(NAME, "vgg16.ledger", "s3://theirs/store")
    yield
    home.client.set_registered_model_tag(NAME, "vgg16.ledger", here)


@contextmanager
def run_deleted(home: Home) -> Iterator[None]:
    run_id = home.run_id
    home.client.delete_run(run_id)
    yield
    home.client.restore_run(run_id)


@contextmanager
def logged_top1(home: Home) -> Iterator[None]:
    before = home.client.get_run(home.run_id).data.metrics["gate_top1"]
    home.client.log_metric(home.run_id, "gate_top1", 1 - before)
    yield
    home.client.log_metric(home.run_id, "gate_top1", before)


@contextmanager
def labels_with_their_manifest(home: Home) -> Iterator[None]:
    """Another label, and a manifest that says so: only the content's digest tells."""
    path, manifest = home.dataset("labels.npy"), home.dataset("manifest.json")
    before = path.read_bytes(), manifest.read_bytes()
    labels = np.load(path)
    labels[0] = (labels[0] + 1) % 10
    path.unlink()
    np.save(path, labels)
    said = json.loads(manifest.read_bytes())
    said["files"]["labels.npy"]["sha256"] = sha256_of(path)
    manifest.write_text(json.dumps(said))
    yield
    path.write_bytes(before[0])
    manifest.write_bytes(before[1])


def keras(version: str) -> Callable[[Home], Path]:
    return lambda home: home.model_file(version, "data/model.keras")


def proven(home: Home) -> Path:
    """The ONNX file of version 2."""
    return home.proven("2")


@contextmanager
def another_versions_file(home: Home) -> Iterator[None]:
    """In place of its own, and the ledger says so: only the file tells."""
    home_of_entry = home.ledger(2)
    before = home_of_entry.read_bytes()
    home_of_entry.write_bytes(before.replace(home.proven("2").stem.encode(), home.proven("1").stem.encode()))
    yield
    home_of_entry.write_bytes(before)


def ledger_of(number: int) -> Callable[[Home], Path]:
    return lambda home: home.ledger(number)


def artifact(name: str) -> Callable[[Home], Path]:
    return lambda home: home.artifact(name)


def published(name: str) -> Callable[[Home], Path]:
    return lambda home: home.dataset(name)


SEED = "params SET value = '{}' WHERE key = 'seed' AND run_uuid = '{{run}}'"
STATUS = "UPDATE tags SET value = '{}' WHERE key = 'vgg16.request' AND run_uuid = '{{run}}'"

# What is broken, by the name of the one link that says so, and what it says.
BREAKS: dict[str, tuple[str, Break, str]] = {
    "the alias was moved": ("registry", alias_moved, "alias champion 1, the ledger says 2"),
    "an old entry was changed": ("registry", file(ledger_of(1), facts(by="somebody")), "one of both was changed"),
    "an entry is gone": ("registry", file(ledger_of(1), lambda _: None), "000001.json is missing"),
    "the ledger is elsewhere": ("registry", ledger_elsewhere, "is in s3://theirs/store, but the store here is"),
    "a bit of the weights": ("model", file(keras("2"), flipped), "expected sha256 "),
    "the weights are gone": ("model", file(keras("2"), lambda _: None), "its file data/model.keras is missing"),
    "class names swapped": (
        "model",
        file(lambda home: home.model_file("2", "MLmodel"), replaced('"0", "1"', '"1", "0"')),
        "its class names or framing are not what was logged: expected digest ",
    ),
    "the registry's digest": ("model", version_tag, "expected digest 000000000000..., found "),
    "the ledger's digest": (
        "model",
        file(ledger_of(2), facts(model_digest="0" * 64)),
        "ledger has digest 0000000",
    ),
    "the run was deleted": ("run", run_deleted, "found it deleted. Bring it back: MLFLOW_TRACKING_URI=sqlite:///"),
    "a setting of experiment.json": (
        "settings",
        file(artifact("experiment.json"), replaced('"seed": 1', '"seed": 2')),
        "from the run's experiment.json, data and base, found",
    ),
    "experiment.json is gone": (
        "settings",
        file(artifact("experiment.json"), lambda _: None),
        "found none",
    ),
    "experiment.json is no JSON": (
        "settings",
        file(artifact("experiment.json"), lambda _: b"{"),
        "found none",
    ),
    "a parameter": (
        "settings",
        row(f"UPDATE {SEED.format(7)}", f"UPDATE {SEED.format(1)}"),
        "seed is 1 there, 7 among these",
    ),
    "what was asked for": ("settings", tag("vgg16.request", "0" * 32), "Expected the request's digest 000000000000..."),
    "an image": ("data", file(published("images.npy"), flipped), "images.npy differs from its manifest: expected "),
    "the manifest is gone": ("data", file(published("manifest.json"), lambda _: None), "it has no manifest.json"),
    "labels with their manifest": ("data", labels_with_their_manifest, "a dataset with digest "),
    "the ledger's dataset": (
        "data",
        file(ledger_of(2), facts(dataset_digest="0" * 64)),
        "entry 2 tells of 0000000",
    ),
    "the base's weights": ("base", file(keras("1"), flipped), "The base vgg16-digits version 1: "),
    "the base's recorded digest": ("base", tag("vgg16.base_digest", "0" * 64), "with digest 000000000000..., found "),
    "the commit": (
        "commit",
        tag("vgg16.commit", "0123abc"),
        "Expected the commit 0123abc in this checkout",
    ),
    "the code's version": ("commit", tag("vgg16.version", None), "nothing says which code trained it"),
    "a package": (
        "lock",
        file(artifact("packages.txt"), replaced("keras==", "keras==9.")),
        "packages.txt with sha256",
    ),
    "the list of packages": ("lock", file(artifact("packages.txt"), lambda _: None), "found no file"),
    "the digest of the packages": ("lock", tag("vgg16.packages", None), "packages.txt with sha256"),
    "the proven file is gone": ("exports", file(proven, lambda _: None), "found no file. Bring it back from a copy"),
    "a bit of the proven file": ("exports", file(proven, flipped), "with the sha256 that is its name, found sha256 "),
    "another version's file": ("exports", another_versions_file, "found one that says it is vgg16-digits version 1 "),
    "the top-1 of the run": ("gate", logged_top1, "images are right, the run has "),
    "the top-1 of the ledger": (
        "gate",
        file(ledger_of(2), replaced('"challenger_gate_top1": ', '"challenger_gate_top1": 2')),
        "images are right, entry 2 of the ledger has ",
    ),
}


def states(links: dict[str, check.CheckedLink]) -> dict[str, str]:
    return {name: link.status for name, link in links.items() if link.status != "ok"}


def test_a_good_version_holds_in_every_link_and_says_by_what(home: Home) -> None:
    links = home.links()
    assert states(links) == {}, {name: link.detail for name, link in links.items() if not link.ok}
    said = {name: link.detail for name, link in links.items()}
    assert "as entry 2 (promote) has it; the ledger's chain of 2 is intact" in said["registry"]
    assert "as MLflow, and entry 2 of the ledger says" in said["model"]
    assert "models:/vgg16-digits/1 is there with digest" in said["base"]
    assert "the very ones that are here" in said["lock"]
    assert "entry 2 of the ledger and the run say so, within 1 image" in said["gate"]
    assert said["exports"].startswith(
        f"onnx {home.proven('2').stem[:12]}..., as entry 2 of the ledger says; ONNX says that"
    )
    assert states(home.links(number="1")) == {}


@pytest.mark.parametrize("case", BREAKS)
def test_a_broken_link_is_named_and_no_other(home: Home, case: str) -> None:
    link, breaking, told = BREAKS[case]
    with breaking(home):
        links = home.links()
    # What is broken cannot be asked.
    unchecked = {"gate": "not checked"} if link in ("model", "data") else {}
    assert states(links) == {link: "broken"} | unchecked
    assert told in links[link].detail
    assert links[link].ok is False


def test_every_break_was_undone(home: Home) -> None:
    assert states(home.links()) == {}


def test_every_link_has_a_break() -> None:
    # That of decisions, which are on pictures of files, is below.
    assert {"review", *(link for link, _, _ in BREAKS.values())} == {link.name for link in check.LINKS}


def test_two_breaks_are_both_named(home: Home) -> None:
    with ExitStack() as both:
        for case in ("the ledger's dataset", "the list of packages", "the commit"):
            both.enter_context(BREAKS[case][1](home))
        links = home.links()
    assert check.broken([*links.values()]) == ["data", "commit", "lock"]


def test_a_version_that_only_the_ledger_knows_is_a_broken_link_and_no_unknown_name(home: Home) -> None:
    name = "vgg16-gone"
    home.client.create_registered_model(name)
    standing = reconcile.settle(home.registry, home.workplace.store, name, export).standing
    entry = {"name": name, "action": "promote", "version": "1", "verdict": "promote", "reasons": ("good",)}
    reconcile.decide(
        home.registry, home.workplace.store, standing, entry | {"model_digest": "d" * 64, "exports": FILES}, "me"
    )
    try:
        assert named.find("gone", home.workplace) == named.find("vgg16-gone/1", home.workplace) == (name, "1")
        links = home.links(name, "1")
    finally:
        home.client.delete_registered_model(name)
    assert states(links) == {"registry": "broken"} | {
        link.name: "not checked" for link in check.LINKS if link.name != "registry"
    }
    assert "found that it was deleted there" in links["registry"].detail
    assert links["data"].detail == "cannot be checked while registry is broken"


NAMES = {
    "digits": "2",
    "vgg16-digits": "2",
    "vgg16-digits@champion": "2",
    "digits@champion": "2",
    "vgg16-digits/1": "1",
    "digits/2": "2",
    "models:/vgg16-digits/1": "1",
    "models:/vgg16-digits@champion": "2",
    "models:/vgg16-digits/Production": "2",
    "vgg16-digits/latest": "2",
}


@pytest.mark.parametrize("text", NAMES)
def test_a_version_is_found_by_what_people_call_it(home: Home, text: str) -> None:
    assert named.find(text, home.workplace) == (NAME, NAMES[text])


def test_a_version_is_found_by_its_run_and_by_its_logged_model(home: Home) -> None:
    uri = home.registry.logged_model(home.run_id)
    for text in (f"runs:/{home.run_id}/model", uri):
        assert named.find(text, home.workplace) == (NAME, "2")


def test_a_training_starts_from_a_version_and_from_the_model_of_its_run(home: Home) -> None:
    from vgg16.steps.fit import load_base

    bases = f"runs:/{home.run_id}/model", f"models:/{NAME}/2"
    experiments = [Experiment.model_validate(TINY | {"base": base}) for base in bases]
    for experiment in experiments:
        catalog.choose([experiment], (), catalog.SHIPPED)
    ref = home.workplace.tracker.runs.get(home.run_id).trained_on
    requests = [TrainingRequest(experiment=one, dataset=ref, base=one.base) for one in experiments]
    (of_run, digest), (of_version, other) = (load_base(request, home.workplace) for request in requests)
    assert of_run is not None
    assert of_version is not None
    assert digest == other != ""


# A name, and what is said of it.
UNKNOWN = {
    "digts": "There is no registered model 'vgg16-digts'. Did you mean vgg16-digits?",
    "vgg16-digits/7": "vgg16-digits has no version '7'. There are: 1, 2.",
    "digits@challenger": "vgg16-digits has no version with the alias 'challenger'. There are: vgg16-digits/1 ",
    "digits/Staging": "No versions of vgg16-digits are in stage Staging.",
    "digits/": "Expected NAME, NAME@ALIAS, NAME/VERSION",
    "digits@": "Expected NAME, NAME@ALIAS, NAME/VERSION",
    "a/b/c": "Expected NAME, NAME@ALIAS, NAME/VERSION",
    "runs:/nothing": "No model at 'runs:/nothing'",
    "": "There is no registered model",
}


@pytest.mark.parametrize("text", UNKNOWN)
def test_an_unknown_name_is_a_wrong_request(home: Home, text: str) -> None:
    with pytest.raises(RequestError) as error:
        named.find(text, home.workplace)
    assert UNKNOWN[text] in str(error.value)


@pytest.fixture(scope="module")
def photographs(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Makes a version of pictures that are files, and a lineage from it."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(40):
        picture = folder / ("cat", "dog")[number % 2] / f"{number}.png"
        picture.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (20, 24, 3), np.uint8)).save(picture)
    shown = Dataset(name="pets", description="", source=(str(folder),), image_size=16)

    def lineage() -> Any:
        run = SimpleNamespace(trained_on=add(shown, home.workplace).dataset)
        return SimpleNamespace(run=run, workplace=home.workplace, entries=[], say=lambda _: None, folder=folder)

    return lineage


def test_the_shards_of_pictures_are_held_against_their_names_and_left_where_they_are(photographs: Any) -> None:
    lineage = photographs()
    assert "by its 40 images in 1 shard" in data(lineage)
    (shard,) = (lineage.workplace.home / "store" / "datasets" / "pets" / "shards").iterdir()
    content = shard.read_bytes()
    for changed, found in ((flipped(content), "..."), (None, "no file")):
        if changed is None:
            shard.unlink()
        else:
            shard.write_bytes(changed)
        with pytest.raises(Vgg16Error, match=f"with the sha256 that is its name, found .*{found}"):
            data(lineage)
        assert shard.exists() == (changed is not None)
    shard.write_bytes(content)
    data(lineage)


def test_decisions_are_held_against_what_the_dataset_honours(photographs: Any) -> None:
    lineage = photographs()
    assert "honours no decision" in review(lineage)
    store, image = lineage.workplace.store, sha256_of(lineage.folder / "cat" / "0.png")
    drop = Decision(images=(image,), names=("cat/0.png",), action="drop")
    kept.append(store, "pets", "me", lambda _: [drop])
    lineage = photographs()
    assert "1 file of decisions (1 dropped, 0 relabelled), sha256 " in review(lineage)
    # A later one, which a later version honours, changes nothing.
    kept.append(store, "pets", "me", lambda _: [drop.model_copy(update={"action": "keep"})])
    review(lineage)
    first = lineage.workplace.home / "store" / "datasets" / "pets" / "reviews" / "000001.json"
    content = first.read_bytes()
    for changed, told in ((content.replace(b'"me"', b'"you"'), "a decision was changed"), (None, "is missing")):
        first.unlink()
        if changed is not None:
            first.write_bytes(changed)
        with pytest.raises(Vgg16Error, match=told):
            review(lineage)
    first.write_bytes(content)


def test_a_base_of_a_file_is_held_against_the_digest_that_it_had(home: Home, tmp_path: Path) -> None:
    experiment = Experiment.model_validate(TINY)
    weights = tmp_path / "weights.keras"
    weights.write_bytes(keras("1")(home).read_bytes())
    ref = fetch(DatasetChoice(name="digits", limit=100), "", "", home.workplace)
    request = TrainingRequest(experiment=experiment, dataset=ref, base=str(weights))
    _, digest = load_base(request, home.workplace)
    assert digest == sha256_of(weights)
    made = home.workplace.tracker.runs.get(home.run_id).model_copy(update={"base": str(weights), "base_digest": digest})
    lineage: Any = SimpleNamespace(run=made)
    assert "as when training began" in base(lineage)
    weights.write_bytes(b"another")
    with pytest.raises(Vgg16Error, match=f"with digest {digest[:12]}"):
        base(lineage)
    weights.unlink()
    assert f"sha256 {digest[:12]}... is recorded; it cannot be had from here" in base(lineage)


def test_packages_beside_those_that_are_here() -> None:
    here = packages.installed()
    assert here == packages.installed()
    assert "tensorflow==" in here
    assert packages.digest(here) != packages.digest(here.replace("keras==", "keras==9."))
    assert packages.compared(here).endswith("the very ones that are here")
    assert "not here: keras==9." in packages.compared(here.replace("\nkeras==", "\nkeras==9."))


def test_the_command_asks_a_fresh_process_and_names_what_is_broken(home: Home, vgg16: Callable[..., Answer]) -> None:
    here = {"VGG16_HOME": str(home.workplace.home)}
    done = vgg16("verify", "digits", "--json", **here)
    assert done.status == 0, done.stdout
    assert (done.json["name"], done.json["version"]) == (NAME, "2")
    assert [(link["name"], link["ok"]) for link in done.json["checks"]] == [(link.name, True) for link in check.LINKS]
    with BREAKS["an image"][1](home):
        done = vgg16("verify", "digits/2", **here)
    assert done.status == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("vgg16: data is broken: of the 11 links of vgg16-digits version 2 9 hold, 1 is not")
    assert max(len(line) for line in done.stdout.splitlines() if "/" not in line) <= 80
