"""The vocabulary of our runs in MLflow: every tag that a run can have, and the name of its page. Plain data."""

from __future__ import annotations

# The Data Docs of what a run learned from, among its artifacts.
DATA_DOCS = "data-docs.html"
# The tag of a run that says what it learned from.
DATASET = "vgg16.dataset"
# The tag of a study's run below which everything is trained anew.
FRESH = "vgg16.fresh"
# MLflow's own tags: of a run that is shown below another one, of a run's colour, of its description.
PARENT = "mlflow.parentRunId"
COLOR = "mlflow.runColor"
NOTE = "mlflow.note.content"
# What it fills in itself from the git repository around the script: of an installed package that is somebody else's.
GUESSED = ("mlflow.source.git.commit", "mlflow.source.git.branch", "mlflow.source.git.repoURL")

# Every tag of ours that a run can have, and what it says. People filter runs by them: tags.`vgg16.verdict` = 'promote'
TAGS = {
    "vgg16.experiment": "the experiment's name",
    "vgg16.status": "`finished` or `diverged`; none while it trains, or was cut off",
    "vgg16.cause": "why it diverged",
    "vgg16.model": "the version that it became, as `vgg16-digits/3`",
    "vgg16.verdict": "what the gates said of that version last: `promote`, `refuse` or `undecided`",
    "vgg16.reasons": "why",
    "vgg16.chain": "the same for all members of one `vgg16 run` or `vgg16 study`",
    "vgg16.study": "of the run above its members' runs: the study's name",
    "vgg16.study_request": "of the same: the digest of the members and the data",
    "vgg16.fresh": "of the same: only what was trained below it counts, `vgg16 study --fresh`",
    "vgg16.base": "the address of the weights it started from",
    "vgg16.device": "what it was trained on",
    "vgg16.precision": "what that computed in",
    "vgg16.version": "the version of this package",
    "vgg16.commit": "the commit of the code, with `-dirty` where files were changed",
    "vgg16.dataset": "the dataset, as JSON for programs; a person finds it in the column Dataset",
    "vgg16.request": "the digest of experiment, data and base: equal for runs that asked for the same",
}
