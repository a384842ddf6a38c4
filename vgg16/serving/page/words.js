// Numbers and facts as a person reads them.

// At this typicality and below an image is called unusual, as vgg16.records.UNUSUAL says.
const UNUSUAL = 0.01;
const SPACE = "\u00a0";

// A share of 0 to 1 in per cent; what is not quite none or all is not said to be.
export function percent(share) {
  if (share > 0 && share < 0.0005) return `< 0.1${SPACE}%`;
  if (share < 1 && share > 0.9995) return `> 99.9${SPACE}%`;
  return `${(100 * share).toFixed(1)}${SPACE}%`;
}

export function points(difference) {
  return `${difference < 0 ? "−" : "+"}${Math.abs(100 * difference).toFixed(1)}`;
}

export function plural(count, word, several = `${word}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? word : several}`;
}

export function isUnusual(typicality) {
  return typicality !== null && typicality <= UNUSUAL;
}

export function usual(typicality) {
  if (typicality === null) return "Typicality is not known: the model has no reference for it.";
  const number = typicality < 0.001 ? "below 0.001" : typicality.toFixed(3);
  if (isUnusual(typicality)) return `Typicality ${number}: unlike what the model learned from, whatever the label says.`;
  return `Typicality ${number}: like what the model learned from.`;
}

export function time(at) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return at;
  return date.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

const DONE = { promote: "promoted", rollback: "brought back", adopt: "put there by hand in MLflow, adopted" };

export function change(entry) {
  return entry.forced ? "forced" : (DONE[entry.action] ?? entry.action);
}

// How a picture file becomes the square that the model takes.
export function framing({ fit, largest_side: largest }, side) {
  const square = fit === "crop" ? "the largest square in the middle" : "all of the picture, between black bars";
  const reduced = largest ? `, of a picture reduced to ${largest} pixels first` : "";
  return `${square}${reduced}, resized to ${side} × ${side} pixels`;
}

const ROWS = ["upper", "middle", "lower"];
const COLUMNS = ["left", "centre", "right"];

// The ninth of a picture that a point lies in, both of 0 to 1.
export function place(x, y) {
  const [row, column] = [ROWS[Math.min(2, Math.floor(3 * y))], COLUMNS[Math.min(2, Math.floor(3 * x))]];
  if (row === "middle") return column === "centre" ? "in the middle" : `in the middle of the ${column} side`;
  return column === "centre" ? `in the middle of the ${row} side` : `at the ${row} ${column}`;
}
