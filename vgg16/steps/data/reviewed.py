"""What people decided on a dataset's images becomes its next version, and until then is told."""

from __future__ import annotations

from contextlib import suppress

from vgg16.config.types import Dataset, Reviewed
from vgg16.data.collect import Collected
from vgg16.data.records import Fetched
from vgg16.data.reviews import kept
from vgg16.data.reviews.decisions import Reviews
from vgg16.data.reviews.honour import honour
from vgg16.errors import Vgg16Error
from vgg16.reports.text import people_changed, plural
from vgg16.workplace.workplace import Workplace


def honoured(
    name: str, collected: Collected, before: Fetched | None, workplace: Workplace
) -> tuple[Collected, Reviewed]:
    """A version's pictures as people decided, and how many that changed; said, too."""
    least = 0
    if before:
        with suppress(Vgg16Error):  # a damaged row, which is written anew
            least = workplace.dataset_row(before.dataset).reviewed.files
    done = honour(collected, kept.load(workplace.store, name, least=least))
    if changed := people_changed(done.reviewed):
        workplace.say(f"data        {changed}")
    for one, label in done.unheeded:
        workplace.say(
            f"data        {one.decision.finding} is to be {one.decision.label}, {one.signed}, and there is no such "
            f"class any more; it stays {label}. Decide again: vgg16 data review {name} {one.decision.images[0][:12]} "
            "--as label=CLASS"
        )
    return done.collected, done.reviewed


def new_decisions(row: Dataset, workplace: Workplace) -> str:
    """What to say where people have decided what a version with this row does not honour yet; "" for nothing."""
    try:
        now = kept.load(workplace.store, row.name, least=row.reviewed.files)
        then = Reviews(now.parts[: row.reviewed.files]).changes
    except Vgg16Error as error:
        return str(error)
    texts = [{image: one.decision.text for image, one in changes.items()} for changes in (then, now.changes)]
    changed = {image for image, text in texts[0].items() ^ texts[1].items()}
    return f"People have decided on {plural(len(changed), 'image')}" if changed else ""
