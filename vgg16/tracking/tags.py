"""The vocabulary of our runs in MLflow: every tag and metric that a run can have, and the
names of its pages. Plain data."""

from __future__ import annotations

# The Data Docs of what a run learned from, among its artifacts.
DATA_DOCS = "data-docs.html"
# The report on the run, beside them.
REPORT = "report.html"
# The packages that were installed where it was trained, beside them too.
PACKAGES = "packages.txt"
# The tag of a run that says what it learned from.
DATASET = "vgg16.dataset"
# The tag of a study's run below which everything is trained anew.
FRESH = "vgg16.fresh"
# The tag of a run that says under which holding of the request's lease it was trained last.
LEASE = "vgg16.lease"
# Tags of a run with digests: of the weights that it started from, and of the list of packages.
BASE_DIGEST = "vgg16.base_digest"
PACKAGES_DIGEST = "vgg16.packages"
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
    "vgg16.warnings": "what no gate forbids but a user should know; none where there is nothing",
    "vgg16.chain": "the same for all members of one `vgg16 run` or `vgg16 study`",
    "vgg16.study": "of the run above its members' runs: the study's name",
    "vgg16.study_request": "of the same: the digest of the members and the data",
    "vgg16.fresh": "of the same: only what was trained below it counts, `vgg16 study --fresh`",
    "vgg16.base": "the address of the weights it started from",
    "vgg16.base_digest": "the digest of these weights, where they are a model or an object of a bucket",
    "vgg16.device": "what it was trained on",
    "vgg16.precision": "what that computed in",
    "vgg16.version": "the version of this package",
    "vgg16.commit": "the commit of the code, with `-dirty` where files were changed",
    "vgg16.packages": "the sha256 of `packages.txt`, which lists the installed packages, beside the run",
    "vgg16.dataset": "the dataset, as JSON for programs; a person finds it in the column Dataset",
    "vgg16.lease": "the token of the process that trained it last",
    "vgg16.request": "the digest of experiment, data and base: equal for runs that asked for the same",
}

# Every metric that a run can have, and what it says. {split} is gate or test, {phase} a phase's number from 0 on,
# {corruption} a kind of `evaluation.corruptions`, {question} a question of the study. Top-1 is 0 to 1, losses in nats.
METRICS = {
    "train_loss": "of each epoch: the loss that training minimises, label smoothing included",
    "train_top1": "of each epoch, while its steps were made",
    "val_loss": "of each epoch: the loss on val",
    "val_top1": "of each epoch: top-1 on val",
    "learning_rate": "of each epoch: where the schedule stands after its last step",
    "best_val_top1": "top-1 on val of the epoch whose weights are kept",
    "best_epoch": "that epoch, counted from 1 over all phases",
    "train_seconds": "how long training took",
    "seconds_of_phase_{phase}": "how long that phase took",
    "images_per_s": "images a second of the training steps alone",
    "peak_memory_megabytes": "peak memory in MB of 10^6 bytes: the GPU's where one trained, else the process's",
    "temperature": "by which the logits are divided, fitted on val",
    "{split}_top1": "top-1; its 95 % interval is `{split}_top1_low` to `{split}_top1_high`",
    "{split}_top1_low": "its lower end",
    "{split}_top1_high": "its upper end",
    "{split}_seen_images": "images with a near-duplicate in train, where the dataset's near-duplicates were found",
    "{split}_top1_unseen": "top-1 without these; its 95 % interval has `_low` and `_high` behind it, as top-1's",
    "{split}_top1_unseen_low": "its lower end",
    "{split}_top1_unseen_high": "its upper end",
    "{split}_top1_from_seen": "what these add: top-1 less top-1 without them; its 95 % interval likewise",
    "{split}_top1_from_seen_low": "its lower end",
    "{split}_top1_from_seen_high": "its upper end",
    "{split}_top5": "top-5",
    "{split}_superclass_top1": "share of answers in the label's superclass, where the dataset has superclasses",
    "{split}_loss": "mean cross-entropy",
    "{split}_brier": "mean squared distance of the probabilities from the truth, 0 to 2",
    "{split}_ece": "expected calibration error; its 95 % interval is `{split}_ece_low` to `{split}_ece_high`",
    "{split}_ece_low": "its lower end",
    "{split}_ece_high": "its upper end",
    "{split}_unusual": "share of images whose typicality is 0.01 or less, about 0.01 of images like those of val",
    "test_{corruption}_top1": "top-1 on test images with that corruption",
    "test_corrupted_top1": "the mean of these",
    "latency_ms": "median milliseconds of one image by itself",
    "answers_per_s": "images a second in batches",
    "model_megabytes": "the model file's size in MB of 10^6 bytes",
    "{question}_val_top1": "of a study's run: top-1 on val of the question's best member",
    "{question}_test_top1": "of the same: its top-1 on test",
}
