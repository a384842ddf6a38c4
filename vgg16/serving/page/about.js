// The version that answers: since when and by whom it is in production, what the gates said, and what its file says.

import { make, named } from "./dom.js";
import { evidence } from "./evidence.js";
import { challenger } from "./challenger.js";
import { change, framing, plural, time } from "./words.js";

// Show the facts in a place, and leave what a person has open, focused and scrolled to as it is.
export function showFacts(place, facts) {
  const key = document.activeElement?.closest("details")?.dataset.key;
  const scrolled = place.scrollTop;
  place.replaceChildren(...about(facts));
  place.scrollTop = scrolled;
  if (key) place.querySelector(`details[data-key="${key}"] > summary`)?.focus({ preventScroll: true });
}

function about(facts) {
  return [
    make("h2", {}, `Version ${facts.version}`),
    ...pending(facts),
    make("p", {}, "In production since ", moment(facts.since.at), `, ${change(facts.since)} by `, named(facts.since.by), "."),
    ...judged(facts.judged),
    ...challenger(facts.challenger),
    folded("classes", plural(facts.classes.length, "class", "classes"), chips(facts.classes)),
    folded("file", "The file that answers", pairs(file(facts))),
    folded("history", "What was in production", history(facts.ledger.entries)),
    make("p", { className: "soft" }, `The model card is the description of version ${facts.version} in MLflow.`),
  ];
}

// Whether the ledger was not read for so long that a promotion may have been missed.
export function staleness({ ledger }) {
  const minutes = Math.floor((ledger.seconds ?? 0) / 60);
  return minutes < 1 ? "" : ` The ledger could not be read for ${plural(minutes, "minute")}.`;
}

function pending({ pending: entry, version }) {
  if (!entry) return [];
  const text = `Version ${entry.version} was ${change(entry)} and cannot answer yet; version ${version} goes on.`;
  return [make("p", { className: "note open" }, `${text} The log of the service says why.`)];
}

function judged(judgement) {
  if (!judgement) return [make("p", {}, pill("open", "not judged"), " No gate was asked before it went into production.")];
  const warnings = judgement.reasons.filter((reason) => reason.startsWith("warning: "));
  const others = judgement.reasons.filter((reason) => !warnings.includes(reason));
  const reasons = others.map((reason) => make("li", {}, reason));
  const passed = judgement.verdict === "promote";
  const words = passed ? "passed the gates" : `the gates said: ${judgement.verdict}`;
  const forced = judgement.forced ? make("p", {}, "A person put it into production all the same.") : "";
  return [
    make("p", {}, pill(passed ? "good" : judgement.verdict === "refuse" ? "bad" : "open", words)),
    forced,
    ...warnings.map((warning) => make("p", { className: "warns" }, warning)),
    evidence(judgement.evidence),
    folded("reasons", "What the gates said", make("ul", { className: "reasons" }, ...reasons)),
  ];
}

function pill(kind, text) {
  return make("span", { className: `pill ${kind}` }, text);
}

function moment(at) {
  return make("time", { dateTime: at, title: at }, time(at));
}

// Folded, and as a person left it when the facts come anew.
function folded(key, summary, content) {
  const open = document.querySelector(`#about details[data-key="${key}"]`)?.open ?? false;
  const details = make("details", { open }, make("summary", {}, summary), content);
  details.dataset.key = key;
  return details;
}

function chips(classes) {
  return make("ul", { className: "chips" }, ...classes.map((name) => make("li", {}, named(name))));
}

function pairs(rows) {
  return make("dl", {}, ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function file(facts) {
  return [
    ["takes", framing(facts.framing, facts.side)],
    ["typicality", facts.typicality ? "told of each picture" : "not known: no reference is in the file"],
    ["temperature", String(facts.temperature)],
    ["model's digest", make("code", {}, facts.digest)],
    ["sha256 of the ONNX file", make("code", {}, facts.sha256)],
    ["written by", `vgg16 ${facts.vgg16}`],
  ];
}

function history(entries) {
  return make(
    "ol",
    { className: "history" },
    ...entries.map((entry) => {
      const text = [`version ${entry.version} ${change(entry)} by `, named(entry.by)];
      return make("li", {}, moment(entry.at), make("span", {}, ...text));
    }),
  );
}
