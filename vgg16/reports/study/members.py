"""What became of a member, in sentences: how it diverged, why it was left out, how well it learned, its mistakes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vgg16.records import Evaluation
from vgg16.reports.study.changes import plain
from vgg16.reports.study.compare import Result, against_chance, chance_of, most_confused
from vgg16.reports.study.words import Words
from vgg16.training.records import Diagnosis, Divergence

# Top-1 on train less that on val, from which on a network is said to know its images by heart: three standard
# deviations of the top-1 on 100 images of val. Of more images a smaller gap is no chance either, but a usual one.
GAP = 0.15


def diverged(result: Result, words: Words) -> str:
    """How a member diverged, and what is wrong inside it."""
    cause = result.run.cause if result.run else ""
    divergence = result.divergence or Divergence(kind="other", epoch=0, text=cause)
    sentence = words.say(
        f"diverged.{divergence.kind}",
        name=words.name(result.experiment),
        epoch=divergence.epoch,
        step=divergence.step,
        value=_not_finite(divergence.loss, words),
        best=words.number(divergence.best),
        chance=words.number(divergence.chance),
        text=divergence.text,
    )
    # The text of version 0.1 has the diagnosis in it.
    inside = _inside(result.diagnosis, words) if result.diagnosis and divergence.kind != "other" else []
    return words.say("list").join([sentence, *inside]) + "."


def _not_finite(loss: float | None, words: Words) -> str:
    # JSON keeps neither: a loss that was read from it may be None.
    if loss is None:
        return words.say("value.not_finite")
    return words.say("value.infinite" if math.isinf(loss) else "value.nan")


def _inside(diagnosis: Diagnosis, words: Words) -> list[str]:
    if diagnosis.broken:
        layers = len(diagnosis.broken)
        return [words.count("diagnosis.broken", layers, count=layers, layer=diagnosis.broken[0])]
    parts = []
    if diagnosis.mostly_dead:
        key = "silent" if diagnosis.silent else "dead"
        dead, units = words.number(diagnosis.dead, 0), words.number(diagnosis.units, 0)
        parts.append(words.say(f"diagnosis.{key}", dead=dead, units=units, layer=diagnosis.silent))
    if diagnosis.one_answer:
        share = words.number(100 * diagnosis.share, 0)
        parts.append(words.say("diagnosis.one", share=share, answer=diagnosis.answer))
    return parts


def why_diverged(results: Sequence[Result], words: Words) -> list[str]:
    """The kinds of divergence among these, explained once each; the course knows what its steps have to do with it."""
    explained: dict[str, str] = {}
    for result in results:
        kind = _kind(result)
        if result.standing != "diverged" or kind in explained:
            continue
        key = f"why.{kind}"
        text = words.own(key, [result.experiment]) or (words.say(key) if words.has(key) else "")
        if text:
            explained[kind] = text
    return list(explained.values())


def _kind(result: Result) -> str:
    inside, divergence = result.diagnosis, result.divergence
    if not inside:
        return ""
    if inside.broken:
        return "broken"
    if inside.silent:
        return "dead"
    return "stuck" if divergence and divergence.kind == "stuck" and not inside.mostly_dead else ""


def left_out(result: Result, words: Words) -> str:
    """That a member was not trained, and why."""
    reason, cause, name = result.left_out, result.failure, words.name(result.experiment)
    if reason is None:
        return words.say("left_out.other" if cause else "left_out.unknown", name=name, cause=cause)
    special = f"value.backbone.name.{reason.backbone}"
    return words.say(
        f"left_out.{reason.kind}",
        name=name,
        backbone=words.say(special) if words.has(special) else reason.backbone,
        source=plain("base", reason.source, words),
        setting=reason.setting,
    )


def chance(result: Result, words: Words) -> list[str]:
    """That a member is no better than chance, where that is so."""
    test = result.test
    where = against_chance(test) if test else "above"
    if test is None or where == "above":
        return []
    name, value = words.name(result.experiment), words.number(chance_of(test))
    return [words.say(f"{where}_chance", name=name, test=words.test(result), chance=value)]


def gap_of_chance(val_images: int) -> float:
    """Three standard deviations of the top-1 on so many images, at most: a gap that chance does not make."""
    return 3 * math.sqrt(0.25 / max(val_images, 1))


def fit(result: Result, val_images: int, words: Words) -> list[str]:
    """How far the best epoch, and the last one, of a member are from the end and from knowing all by heart."""
    if not result.epochs or not result.run:
        return []
    last, name = result.epochs[-1], words.name(result.experiment)
    epoch = int(result.run.metrics["best_epoch"])
    sentences = []
    if last.train_top1 - last.val_top1 > max(GAP, gap_of_chance(val_images)):
        train, val = words.number(100 * last.train_top1, 0), words.number(100 * last.val_top1, 0)
        sentences.append(words.say("fit.gap", name=name, train=train, val=val))
    if epoch == last.epoch:
        sentences.append(words.say("fit.rising", name=name, epoch=epoch))
    else:
        sentences.append(words.say("fit.past", name=name, epoch=epoch, epochs=last.epoch))
    return sentences


def confused(result: Result, test: Evaluation, words: Words) -> str:
    """The pair of classes that it confuses most often; its best and its worst class."""
    most, name = most_confused(test), words.name(result.experiment)
    if most is None:
        return words.say("confused.none", name=name)
    values = {"name": name, "label": most.label, "answer": most.answer, "count": most.count, "of": most.of}
    if most.ties:
        sentence = words.count("confused.tied", most.ties, **values, ties=most.ties)
    else:
        sentence = words.say("confused", **values)
    return f"{sentence} {_classes(test, words)}"


def _classes(test: Evaluation, words: Words) -> str:
    recalls = {score.name: score.recall for score in test.classes if score.images}
    surest, hardest = max(recalls.values()), min(recalls.values())
    if surest == hardest:
        return words.say("classes.alike", recall=words.number(surest))

    def names(recall: float) -> str:
        first, *others = (name for name, value in recalls.items() if value == recall)
        return words.count("tied", len(others), name=first, count=len(others)) if others else first

    return words.say(
        "classes",
        surest=names(surest),
        surest_recall=words.number(surest),
        hardest=names(hardest),
        hardest_recall=words.number(hardest),
    )
