"""The service's page in Chromium: dropped pictures are answered, a promotion shows by itself, and nobody but the
service is asked."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.serving.planted import looks_at, marked
from tests.serving.test_facts import decide
from tests.serving.tiny import NAME, challenge, in_production, keep, onnx_file, picture, promote, serving
from tests.system.pictures import browser
from vgg16.serving.service import Door
from vgg16.storage.store import FolderStore

pytestmark = pytest.mark.system
WIDTHS = {"wide": (1280, 900), "phone": (390, 844)}
TOKEN = "0123456789abcdef0123"
# What would be HTML, what turns the letters after it, and what is longer than any place for it.
CLASSES = ("<img src=x onerror=alert(1)>", "\u202etfel \u05d0\u05d1", "w" * 3000)
HOSTILE = "<b>bold</b>\u202egnp.png"
DROP = """(files) => {
    const transfer = new DataTransfer();
    for (const [name, text] of files) {
        const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        transfer.items.add(new File([bytes], name));
    }
    const drop = new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
    document.querySelector("#drop").dispatchEvent(drop);
}"""


@contextmanager
def looking(url: str, width: int, height: int, *expected: int) -> Iterator[Any]:
    """A page that asks this service alone, is nowhere wider than the window, and has no errors but answers of these
    statuses."""
    asked: list[str] = []
    errors: list[str] = []
    with browser(width, height) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        yield page
        wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width
    assert [address for address in asked if not address.startswith((f"{url}/", "data:", "blob:"))] == []
    # What Chromium itself says of a refused request.
    said = tuple(f"Failed to load resource: the server responded with a status of {status}" for status in expected)
    assert [error for error in errors if not (said and error.startswith(said))] == []


def drop(page: Any, files: dict[str, bytes]) -> None:
    page.evaluate(DROP, [[name, base64.b64encode(content).decode()] for name, content in files.items()])


def card(page: Any, number: int) -> Any:
    """The text of a card; the first one's number is 0."""
    return page.locator(".card").nth(number)


def promote_next(store: FolderStore, folder: Path, content: bytes, version: str) -> None:
    promote(store, version, keep(store, content, folder))


@pytest.mark.parametrize("width", WIDTHS)
def test_dropped_pictures_are_answered_and_a_promotion_shows_by_itself(width: str, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    promote_next(store, tmp_path, onnx_file("1", classes=CLASSES), "1")
    files = {
        "broken.jpg": b"no picture",
        HOSTILE: picture(250, 40),
        "scan.tif": picture(1, 40, "TIFF"),
        "noise.png": marked(1),
        "n" * 250 + ".png": picture(128, 40),
    }
    with serving(store, tmp_path) as running, looking(running.url, *WIDTHS[width], 400) as page:
        page.get_by_text("Version 1 answers.").wait_for()
        assert page.title() == f"{NAME} 1"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "files"
        drop(page, files)
        page.get_by_text("4 of 5 pictures answered, 1 without an answer", exact=True).wait_for()
        assert "found a file that begins with b'no picture'" in card(page, 0).inner_text()
        texts = [card(page, number).inner_text() for number in range(5)]
        # Nothing of a name is HTML, nor turns what is around it.
        assert page.locator("#cards b, #cards img, #about img").count() == 0
        assert texts[1].startswith("<b>bold</b>\\u202egnp.png\n")
        assert "wwww" in texts[1]
        assert "Typicality 0.980: like what the model learned from." in texts[1]
        assert texts[2].split()[:2] == ["TIF", "scan.tif"]
        assert "<img src=x onerror=alert(1)>" in texts[2]
        assert "Typicality 0.004: unlike what the model learned from, whatever the label says." in texts[2]
        assert all("Version 1 answered." in text for text in texts[1:])
        assert "\\u202etfel" in texts[4]
        # One colour, hidden behind itself.
        card(page, 1).get_by_role("button", name="Where it looks").click()
        card(page, 1).get_by_text("No single place matters much").wait_for()
        promote_next(store, tmp_path, looks_at(1), "2")
        page.get_by_text("Version 2 answers from now on; before, version 1 did.").wait_for()
        assert "Version 1 answered; another one would now." in card(page, 3).inner_text()
        page.get_by_role("button", name="Ask version 2 about the 4 pictures").click()
        card(page, 3).get_by_text("Version 2 answered.").wait_for()
        assert "marked" in card(page, 3).inner_text()
        assert "Typicality is not known" in card(page, 3).inner_text()
        card(page, 3).get_by_role("button", name="Where it looks").click()
        card(page, 3).get_by_text("hangs on most lies at the upper right").wait_for()
        assert page.evaluate("document.activeElement.className") == "map"
        shown = card(page, 3).locator(".frame").screenshot()
        with page.expect_download() as downloading:
            page.get_by_role("button", name="Download as CSV").click()
        lines = Path(downloading.value.path()).read_text("utf-8-sig").splitlines()
        card(page, 0).get_by_role("button", name="Remove broken.jpg").click()
        assert page.locator(".card").count() == 4
    red, _, blue = (np.asarray(Image.open(io.BytesIO(shown)).convert("RGB"), int)[..., band] for band in range(3))
    half = len(red) // 2
    quadrants = [
        (red - blue)[rows, columns].mean()
        for rows, columns in (
            (slice(half), slice(half)),
            (slice(half), slice(half, None)),
            (slice(half, None), slice(half)),
            (slice(half, None), slice(half, None)),
        )
    ]
    assert int(np.argmax(quadrants)) == 1
    assert lines[0] == "name,label,probability,typicality,version,error"
    assert lines[1].startswith('broken.jpg,,,,,"The picture cannot be read')
    assert lines[4].split(",")[:2] == ["noise.png", "marked"]
    assert len(lines) == 6


def test_where_there_is_a_token_the_page_asks_for_it_and_keeps_it_for_the_tab(tmp_path: Path) -> None:
    door = Door("127.0.0.1", 0, TOKEN)
    with (
        serving(in_production(tmp_path, "1"), tmp_path, door) as running,
        looking(running.url, *WIDTHS["wide"], 401) as page,
    ):
        field = page.get_by_label("has its token")
        field.wait_for()
        drop(page, {"one.png": picture(250)})
        field.fill("anothertoken")
        page.keyboard.press("Enter")
        page.get_by_text("Expected the token of this service, found another.").wait_for()
        page.get_by_label("has its token").fill(TOKEN)
        page.get_by_role("button", name="Use it").click()
        # What was dropped meanwhile has waited.
        card(page, 0).get_by_text("Version 1 answered.").wait_for()
        page.reload()
        page.get_by_text("Version 1 answers.").wait_for()
        assert not field.is_visible()
        assert TOKEN not in page.content()
        assert TOKEN not in page.url
        page.get_by_role("button", name="Forget the token").click()
        field.wait_for()


def test_before_anything_is_in_production_the_page_says_so_and_goes_on_looking(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    with serving(store, tmp_path, wait=True) as running, looking(running.url, *WIDTHS["phone"], 503) as page:
        page.get_by_text(f"No version of {NAME} can answer yet").first.wait_for()
        drop(page, {"one.png": picture(250)})
        card(page, 0).get_by_text("Asked again in 2 seconds").wait_for()
        promote_next(store, tmp_path, onnx_file("1"), "1")
        page.get_by_text("Version 1 answers.").wait_for()
        card(page, 0).get_by_text("Version 1 answered.").wait_for()


def test_what_the_gates_said_and_what_the_challenger_says_otherwise_are_shown(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    # Of greys up to 96 the champion says the second class; the challenger says the third one above 64.
    file = keep(store, onnx_file("1", bias=(0.0, 3.0, 0.0), classes=CLASSES), tmp_path)
    decide(store, tmp_path, "1", exports={"onnx": file})
    challenge(store, "2", keep(store, onnx_file("2", bias=(0.0, 1.0, 0.0), classes=CLASSES), tmp_path), tmp_path)
    with serving(store, tmp_path) as running, looking(running.url, *WIDTHS["wide"]) as page:
        page.get_by_text("Challenger: version 2").wait_for()
        # What is open and focused stays so while the counts go on.
        page.get_by_text("3 classes").focus()
        page.keyboard.press("Enter")
        panel = page.locator("#about").inner_text()
        assert ", promoted by ann." in panel
        assert page.locator("#about time").first.get_attribute("datetime") == "2026-02-03T04:05:06+00:00"
        assert "passed the gates" in panel
        rows = ("right on the gate's pictures\t95.5\u00a0%", "better than the champion, in points\t+2.0")
        assert all(row in panel for row in rows)
        drop(page, {f"{number}.png": picture(number) for number in (0, 100, 250, 255)})
        page.get_by_text("The same label on 75.0\u00a0% of 4 pictures").wait_for()
        assert page.evaluate("document.activeElement.textContent") == "3 classes"
        assert page.locator("#about .chips").is_visible()
        (row,) = page.locator("#about .pairs tbody tr").all()
        assert row.inner_text().split("\t")[0].startswith("\\u202etfel")
        assert row.inner_text().split("\t")[2] == "1"


def test_pictures_that_a_busy_service_has_no_room_for_are_sent_again(tmp_path: Path) -> None:
    with serving(in_production(tmp_path, "1"), tmp_path) as running, looking(running.url, *WIDTHS["wide"], 429) as page:
        desk = running._server.config.app.state.desk
        page.get_by_text("Version 1 answers.").wait_for()
        desk.batcher._admitted = 256
        drop(page, {f"{number}.png": picture(number) for number in range(12)})
        page.get_by_text("256 images wait already. Asked again in a second.").first.wait_for()
        desk.batcher._admitted = 0
        page.get_by_text("12 of 12 pictures answered", exact=True).wait_for()
