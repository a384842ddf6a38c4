// Pictures that are chosen, dropped (folders too) or pasted.

import { byId } from "./dom.js";

// Call `take` with a list of [file, name] whenever some come.
export function listen(take) {
  const input = byId("files");
  input.onchange = () => {
    take([...input.files].map((file) => [file, file.name]));
    input.value = "";
  };
  let depth = 0; // dragging from one element into another enters the second before it leaves the first
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    byId("drop").classList.toggle("over", depth > 0);
  };
  addEventListener("dragenter", () => mark(1));
  addEventListener("dragleave", () => mark(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", async (event) => {
    event.preventDefault();
    mark(-depth);
    take(await dropped(event.dataTransfer));
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) take(files.map((file) => [file, file.name || "pasted picture"]));
  });
}

async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  if (!entries.some((entry) => entry?.isDirectory)) return [...transfer.files].map((file) => [file, file.name]);
  return (await Promise.all(entries.filter(Boolean).map(within))).flat();
}

// All files of a folder, and of those in it; hidden ones, which systems put there, are left out.
async function within(entry) {
  if (entry.name.startsWith(".")) return [];
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [[file, entry.fullPath.slice(1)]];
  }
  const [reader, entries] = [entry.createReader(), []];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    entries.push(...some);
  }
  return (await Promise.all(entries.map(within))).flat();
}
