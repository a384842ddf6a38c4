// The version that waits in Staging and answers too, unheard: how often it says something else, and what.

import { make, named } from "./dom.js";
import { percent, plural, points, time } from "./words.js";

export function challenger(facts) {
  if (!facts.version) return [];
  return [
    make("h2", {}, `Challenger: version ${facts.version}`),
    make("p", {}, `In Staging since ${time(facts.since)}. It answers the same pictures, and nobody is told what.`),
    ...(facts.problem ? [make("p", { className: "note open" }, `It does not answer: ${facts.problem}.`)] : counted(facts)),
  ];
}

function counted({ images, same, probability_difference: apart, differences, dropped, champion }) {
  if (!same) return [make("p", { className: "soft" }, `No picture has come since version ${champion} is compared with it.`)];
  const [low, high] = same.interval.map(percent);
  const left = Object.values(dropped ?? {}).reduce((sum, count) => sum + count, 0);
  const parts = [
    make("p", {}, `The same label on ${percent(same.share)} of ${plural(images, "picture")} (95 % interval ${low} to ${high}).`),
    make("p", { className: "soft" }, `The probability of the champion's label differs by ${points(apart).slice(1)} points on average.`),
  ];
  if (differences.length) parts.push(table(differences));
  if (left) parts.push(make("p", { className: "soft" }, `It did not answer ${plural(left, "other")}.`));
  return parts;
}

function table(differences) {
  const head = ["the champion says", "the challenger", "pictures"].map((text) => make("th", { scope: "col" }, text));
  const rows = differences.map(({ champion_label: one, challenger_label: other, images }) =>
    make("tr", {}, make("td", {}, named(one)), make("td", {}, named(other)), make("td", {}, images.toLocaleString("en"))),
  );
  return make("table", { className: "pairs" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
}
