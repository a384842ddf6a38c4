"""The flow `watch`: what came into a dataset's inbox, day by day, beside what the model in production was judged on. A
drift is told once, with what to label first; nothing learns from an inbox. After a drift the images that people have
labelled since can ask for a retraining."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any

from prefect import flow, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed
from pydantic import WithJsonSchema

from vgg16.config.types import is_bare
from vgg16.errors import RequestError
from vgg16.flows import tasks
from vgg16.flows.progress import say
from vgg16.flows.server import tell_of, without_login
from vgg16.steps.watch.records import Caps, WatchRequest
from vgg16.steps.watch.result import in_markdown
from vgg16.tracking.protocol import model_name
from vgg16.workplace import reach

_DAY = Caps()

# What the form of the deployment offers.
Dataset = Annotated[
    str,
    WithJsonSchema({"type": "string", "description": "The dataset whose model in production is watched."}),
]
Source = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "description": "The inbox: `s3://bucket/prefix`, or a folder on the worker's machine; empty for "
            "`inbox/NAME` of the store.",
        }
    ),
]
Pictures = Annotated[
    int,
    WithJsonSchema(
        {
            "type": "integer",
            "minimum": 1,
            "maximum": _DAY.pictures,
            "description": "Pictures a day that are looked at; of more so many are drawn, and the others counted.",
        }
    ),
]
Megabytes = Annotated[
    int,
    WithJsonSchema(
        {
            "type": "integer",
            "minimum": 1,
            "description": "Megabytes a day that are read, and ten pixels for each byte; one picture may have a "
            "fortieth of both.",
        }
    ),
]
MinLabelled = Annotated[
    int,
    WithJsonSchema(
        {
            "type": "integer",
            "minimum": 0,
            "description": "After a drift the champion's experiment is trained again, and judged, once the gate has so "
            "many labelled images that are newer than the champion; 0 for never.",
        }
    ),
]


@flow(name="watch", flow_run_name="watch {dataset}")
def watch(
    dataset: Dataset,
    source: Source = "",
    pictures: Pictures = _DAY.pictures,
    megabytes: Megabytes = _DAY.bytes // 1_000_000,
    min_labelled: MinLabelled = 0,
) -> Any:
    """Look at what came since the day before; again on the same day, only what was cut off is done.

    The run ends as `Steady`, `Drifted`, `Undecided` or `Nothing new`, each a success. Raises RequestError for a dataset
    or source that is none.
    """
    reach.prepare()
    if not is_bare(dataset):
        raise RequestError(f"dataset: expected a name, found {dataset!r}.")
    date = f"{runtime.flow_run.scheduled_start_time.astimezone(UTC):%Y-%m-%d}"
    result = tasks.look_at_inbox(
        WatchRequest(
            dataset=dataset,
            source=without_login(source),
            date=date,
            caps=Caps(pictures=pictures, bytes=megabytes * 1_000_000),
            min_labelled=min_labelled,
        )
    )
    create_markdown_artifact(key=f"watch-{dataset.lower().replace('_', '-')}", markdown=in_markdown(result))
    say(f"watch       {result.end}: {result.text}")
    for message in result.messages:
        tell_of(message.event, model_name(dataset), result.text, message.id, message.payload)
        tasks.mark_told(message)
    return Completed(name=result.end, message=result.text, data=result)
