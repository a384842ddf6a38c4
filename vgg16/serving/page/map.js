// Where an answer hangs on: the picture as the model saw it, red where hiding it lowers the probability of the label.

import { make, named } from "./dom.js";
import { percent, place } from "./words.js";

const SIDE = 448; // pixels of the drawing
const LEAST = 0.05; // what a place must change to be worth a word, and full colour
const FALLS = [214, 40, 40];
const RISES = [30, 110, 220];

export function drawMap(map) {
  const most = Math.max(...map.grid.flat());
  const frame = make("div", { className: "frame" });
  const told = description(map, most);
  const shade = make("canvas", { width: SIDE, height: SIDE, role: "img", ariaLabel: told });
  paint(shade, map);
  frame.append(make("img", { src: map.image, alt: "", className: map.edges.at(-1) < 128 ? "tiny" : "" }), shade);
  const toggle = make("button", { className: "quiet", ariaPressed: "false" }, "Hide the colours");
  toggle.onclick = () => {
    shade.hidden = !shade.hidden;
    toggle.textContent = shade.hidden ? "Show the colours" : "Hide the colours";
  };
  const scale = make("div", { className: "scale", ariaHidden: "true" }, make("i"));
  const ends = make("div", { className: "ends soft" }, make("span", {}, "hiding it raises"), make("span", {}, "lowers"));
  const caption = make(
    "figcaption",
    {},
    make("p", {}, ...sentence(map, most)),
    scale,
    ends,
    make("p", { className: "soft" }, how(map)),
    make("p", { className: "row" }, toggle),
  );
  return make("figure", { className: "map", tabIndex: -1 }, frame, caption);
}

function description(map, most) {
  return most < LEAST ? "No place matters much" : `What matters most lies ${highest(map).where}`;
}

function sentence(map, most) {
  const label = make("strong", {}, named(map.label, 60));
  if (most < LEAST) {
    const end = ` falls by ${(100 * Math.max(0, most)).toFixed(1)} points at most, from ${percent(map.probability)}.`;
    return ["No single place matters much: whichever is hidden, the probability of ", label, end];
  }
  const { where } = highest(map);
  const fallen = percent(Math.max(0, map.probability - most));
  return ["What ", label, ` hangs on most lies ${where}: hidden, the probability falls from ${percent(map.probability)} to ${fallen}.`];
}

function how({ grid, edges, version }) {
  const [places, side] = [grid.length ** 2, edges.at(-1)];
  return (
    `By version ${version}, at ${places} places: each time a square of ${edges[2] - edges[0]} of the ${side} pixels ` +
    "is hidden behind the mean colour. It shows what this answer hangs on, not whether it is right."
  );
}

// The place whose hiding lowers the probability most, in words.
function highest({ grid, edges }) {
  let [best, row, column] = [-Infinity, 0, 0];
  grid.forEach((drops, y) =>
    drops.forEach((drop, x) => {
      if (drop > best) [best, row, column] = [drop, y, x];
    }),
  );
  const side = edges.at(-1);
  return { where: place(edges[column + 1] / side, edges[row + 1] / side) };
}

// Patches overlap by half: what lies under several of them is drawn in the mean of what they say.
function paint(canvas, { grid, edges }) {
  const count = grid.length;
  const largest = Math.max(LEAST, ...grid.flat().map(Math.abs));
  const context = canvas.getContext("2d");
  const scale = SIDE / edges.at(-1);
  for (let row = 0; row <= count; row++) {
    for (let column = 0; column <= count; column++) {
      const drops = [row - 1, row].flatMap((y) => [column - 1, column].map((x) => grid[y]?.[x])).filter(Number.isFinite);
      const mean = drops.reduce((sum, drop) => sum + drop, 0) / drops.length / largest;
      const alpha = 0.75 * Math.min(1, Math.abs(mean)) ** 0.8;
      const color = mean > 0 ? FALLS : RISES;
      const [left, top] = [edges[column] * scale, edges[row] * scale];
      context.fillStyle = `rgb(${color.join(" ")} / ${alpha})`;
      context.fillRect(left, top, edges[column + 1] * scale - left, edges[row + 1] * scale - top);
    }
  }
}
