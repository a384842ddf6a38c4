"""Where MLflow's database says that files are, after its home was moved, copied or reached by another name."""

from __future__ import annotations

import shlex
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vgg16.errors import Vgg16Error
from vgg16.storage.addresses import sqlite
from vgg16.storage.store import FolderStore
from vgg16.tracking import moved
from vgg16.tracking.connect import connect

NAME = "vgg16-pets"
NAMES = ["plain", "a b", "what? is=this", "#1", "100%41", "é'\"&;", "[x"]


@pytest.fixture(autouse=True)
def same_address() -> Iterator[None]:
    import mlflow

    before = mlflow.get_tracking_uri()
    yield
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


def opened(home: Path, store: FolderStore | None = None) -> Any:
    """MLflow's client over the home's database, as a workplace opens it in a process of its own."""
    from mlflow.tracking._tracking_service import utils

    utils._artifact_repos_cache.clear()
    moved.follow_home(home, store or FolderStore(home / "store"))
    return connect(sqlite(home / "mlflow.db"), home / "mlflow").registry.client


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a run, a logged and registered model with files, a ledger of one entry and its mark."""
    home = tmp_path_factory.mktemp("made") / "home"
    home.mkdir()
    store = FolderStore(home / "store")
    client = opened(home)
    experiment = client.create_experiment("pets", artifact_location=(home / "mlflow" / "pets").as_uri())
    other = client.create_experiment("others", artifact_location=(home.parent / "elsewhere" / "others").as_uri())
    run = client.create_run(experiment).info
    client.log_text(run.run_id, "logged", "a.txt")
    client.log_text(client.create_run(other).info.run_id, "a person's", "a.txt")
    model = client.create_logged_model(experiment, source_run_id=run.run_id)
    folder = home / "mlflow" / "pets" / "models" / model.model_id / "artifacts"
    folder.mkdir(parents=True)
    (folder / "model.keras").write_text("weights")
    client.create_registered_model(NAME)
    client.create_model_version(NAME, f"models:/{model.model_id}", run_id=run.run_id, model_id=model.model_id)
    client.update_model_version(NAME, "1", card(home))
    store.create(f"ledger/{NAME}/000001.json", b"{}")
    client.set_registered_model_tag(NAME, "vgg16.ledger", store.address)
    client.set_registered_model_tag(NAME, "vgg16.followed", "1")
    return home


def card(home: Path) -> str:
    """What a card says of places: in a command, in code, and a longer path that is none of ours."""
    command = f"VGG16_HOME={shlex.quote(str(home))} vgg16 predict"
    return f"{command}\nmlflow.set_tracking_uri({sqlite(home / 'mlflow.db')!r})\nVGG16_HOME=/a/longer/one/home-2 and /x"


def places(home: Path) -> set[str]:
    """All that the database says of places, and of the ledger."""
    queries = [f"SELECT {column} FROM {table}" for table, column in moved._COLUMNS]
    queries.append("SELECT value FROM registered_model_tags WHERE key = 'vgg16.ledger'")
    with sqlite3.connect(home / "mlflow.db") as database:
        found = {str(row[0]) for query in queries for row in database.execute(query)}
    database.close()
    return {place for place in found if not place.startswith("models:/") and "mlruns" not in place}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("original_lives", [True, False], ids=["copied", "moved"])
def test_a_home_works_wherever_it_is_and_names_no_place_of_before(
    made: Path, tmp_path: Path, name: str, original_lives: bool
) -> None:
    original = made
    if not original_lives:
        original = tmp_path / "original"
        shutil.copytree(made, original)
        opened(original)
    home = tmp_path / name
    shutil.copytree(original, home) if original_lives else original.rename(home)
    kept = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    client = opened(home)
    assert (home / "mlflow.db").exists()
    (run,) = client.search_runs([client.get_experiment_by_name("pets").experiment_id])
    client.log_text(run.info.run_id, "more", "b.txt")
    assert Path(client.download_artifacts(run.info.run_id, "a.txt")).read_text() == "logged"
    (folder,) = (home / "mlflow" / "pets" / "models").iterdir()
    assert client.get_model_version_download_uri(NAME, "1") == (folder / "artifacts").as_uri()
    assert client.get_model_version(NAME, "1").description == card(home)
    elsewhere = (made.parent / "elsewhere").as_uri()
    ours = {place for place in places(home) if not place.startswith(elsewhere)}
    assert all(place.startswith(((home / "mlflow").as_uri(), str(home / "store"))) for place in ours)
    assert len(ours) == 4
    # What a person has put elsewhere is there.
    assert len(places(home)) == 6
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == kept
    assert {path.name for path in tmp_path.iterdir()} == {name}


def test_a_home_at_its_place_is_only_looked_at(made: Path, tmp_path: Path) -> None:
    before = (made / "mlflow.db").stat().st_mtime_ns
    linked = tmp_path / "linked"
    linked.symlink_to(made)
    moved.follow_home(made, FolderStore(made / "store"))
    assert (made / "mlflow.db").stat().st_mtime_ns == before
    # By another name the ledger is the same, and files are where they were said to be.
    moved.follow_home(linked, FolderStore(linked / "store"))
    assert str(linked / "store") in places(made)
    moved.follow_home(made, FolderStore(made / "store"))
    assert str(made / "store") in places(made)
    moved.follow_home(tmp_path / "none", FolderStore(tmp_path))
    assert not (tmp_path / "none").exists()


def test_a_store_that_moved_by_itself_is_known_by_its_entries(made: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(made, home)
    opened(home)
    store = FolderStore(tmp_path / "store")
    (home / "store").rename(store.folder)
    empty = FolderStore(tmp_path / "empty")
    opened(home, empty)
    assert str(home / "store") in places(home)  # nothing there says that it is this one
    opened(home, store)
    assert str(store.folder) in places(home)
    # While the old folder is there, which of both it is is for a person to say.
    (tmp_path / "store").rename(home / "store")
    shutil.copytree(home / "store", tmp_path / "store")
    moved.follow_home(home, FolderStore(home / "store"))
    assert str(store.folder) in places(home)


def test_what_an_earlier_version_began_anew_in_the_old_place_is_read_there(made: Path, tmp_path: Path) -> None:
    original, home = tmp_path / "original", tmp_path / "home"
    shutil.copytree(made, original)
    client = opened(original)
    run = client.create_run(client.get_experiment_by_name("pets").experiment_id).info
    client.log_text(run.run_id, "after the move", "a.txt")
    original.rename(home)
    later = original / "mlflow" / "pets" / run.run_id
    later.parent.mkdir(parents=True)
    (home / "mlflow" / "pets" / run.run_id).rename(later)
    assert Path(opened(home).download_artifacts(run.run_id, "a.txt")).read_text() == "after the move"


def test_a_database_that_cannot_be_made_to_follow_is_told(made: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(made, home)
    (home / "mlflow.db").write_bytes(b"no database, and long enough to be taken for one" * 100)
    with pytest.raises(Vgg16Error, match=r"mlflow\.db cannot be read, or made to say .* restore it from a backup"):
        moved.follow_home(home, FolderStore(home / "store"))
    (home / "mlflow.db").write_bytes(b"")  # MLflow has not filled it yet
    moved.follow_home(home, FolderStore(home / "store"))
