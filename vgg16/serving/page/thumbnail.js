// What a browser can show of a file, small: a picture of 50 million pixels is not kept to be shown at the size of a stamp.

import { make } from "./dom.js";

const SIDE = 240;
let last = Promise.resolve(); // one is decoded at a time, for the memory that takes

// Put a small picture of a file into a place; the end of its name where the browser cannot show it.
export function thumbnail(file, place, signal) {
  last = last.then(async () => {
    if (signal.aborted) return;
    try {
      place.append(await small(file));
    } catch {
      const kind = /\.(\w{1,5})$/.exec(file.name)?.[1].toUpperCase() ?? "?";
      place.classList.add("none");
      place.append(make("span", { title: "This browser cannot show it." }, kind));
    }
  });
}

async function small(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((length) => Math.max(1, Math.round(length * scale)));
  const canvas = make("canvas", { width, height, role: "img", ariaLabel: `The picture ${file.name.slice(0, 100)}` });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  if (Math.max(width, height) < 64) canvas.classList.add("tiny");
  return canvas;
}
