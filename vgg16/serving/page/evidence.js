// The numbers behind a verdict of the gates, as the ledger keeps them.

import { make } from "./dom.js";
import { percent, points } from "./words.js";

const count = (value) => value.toLocaleString("en");
const CORRUPTED = {
  noise: "right under noise",
  blur: "right when blurred",
  brightness: "right in other brightness",
  contrast: "right in low contrast",
  jpeg: "right after JPEG",
  corrupted: "right when spoilt, on average",
};
// What the ledger calls it, what a person does, and how the number is written.
const ROWS = [
  ["challenger_gate_top1", "right on the gate's pictures", percent],
  ["gate_images", "pictures of the gate", count],
  ["challenger_gate_top1_unseen", "right on those it had not met", percent],
  ["gate_seen_images", "pictures it had met", count],
  ["champion_gate_top1", "the champion before, on the same", percent],
  ["reference_gate_top1", "the reference, on the same", percent],
  ["champion_gate_images", "pictures compared with the champion", count],
  ["reference_gate_images", "pictures compared with the reference", count],
  ["p", "p of that difference", (value) => value.toPrecision(2)],
  ["judgement", "looks at these pictures so far", count],
  ["gate_newer_images", "pictures newer than the champion", count],
  ["difference_newer", "better on those, in points", points],
  ["difference_newer_low", "of that at the least", points],
  ["difference_newer_high", "of that at the most", points],
  ["p_newer", "p of that difference", (value) => value.toPrecision(2)],
  ["judgement_newer", "looks at those so far", count],
  ["difference_older", "better on the older ones, in points", points],
  ["challenger_gate_ece", "calibration error", percent],
  ...Object.entries(CORRUPTED).map(([kind, words]) => [`challenger_gate_${kind}_top1`, words, percent]),
  ["latency_ms", "one picture takes", (value) => `${value.toFixed(1)}\u00a0ms`],
  ["megabytes", "the model has", (value) => `${value.toFixed(1)}\u00a0MB`],
];
const PARTS = ["difference", "difference_low", "difference_high"];

export function evidence(numbers) {
  const rows = ROWS.filter(([name]) => name in numbers).map(([name, words, written]) => [words, written(numbers[name])]);
  const [difference, low, high] = PARTS.map((name) => numbers[name]);
  if (difference !== undefined) {
    const interval = low === undefined ? "" : ` (${points(low)} to ${points(high)})`;
    rows.splice(2, 0, ["better than the champion, in points", `${points(difference)}${interval}`]);
  }
  const others = Object.keys(numbers).filter((name) => !PARTS.includes(name) && !ROWS.some(([known]) => known === name));
  rows.push(...others.map((name) => [name, String(numbers[name])]));
  if (!rows.length) return "";
  const lines = rows.map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value)));
  return make("table", {}, make("tbody", {}, ...lines));
}
