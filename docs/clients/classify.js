// Classify pictures with an exported ONNX file by onnxruntime-web, whose three files lie beside this one.
import * as ort from "./ort.wasm.min.mjs";
import { square } from "./square.js";

ort.env.wasm.wasmPaths = new URL(".", import.meta.url).href; // else they are sought elsewhere
ort.env.wasm.numThreads = 1; // more need a page that is isolated from all others

export async function load(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  const file = new Uint8Array(await response.arrayBuffer());
  const facts = metadata(file);
  const [names, side, framing] = ["class_names", "side", "framing"].map((key) => JSON.parse(facts[key]));
  return { session: await ort.InferenceSession.create(file), names, side, framing };
}

export async function classify({ session, names, side, framing }, picture) {
  const images = new ort.Tensor("uint8", await square(picture, side, framing), [1, side, side, 3]);
  const { probabilities, typicality } = await session.run({ images });
  const probability = Math.max(...probabilities.data);
  return { label: names[probabilities.data.indexOf(probability)], probability, typicality: typicality?.data[0] ?? null };
}

// What the file says of itself, which onnxruntime-web does not tell: field 14 of the file's own protocol buffer.
function metadata(file) {
  const text = new TextDecoder();
  const pairs = fields(file).filter(([field]) => field === 14);
  return Object.fromEntries(pairs.map(([, pair]) => fields(pair).map(([, bytes]) => text.decode(bytes))));
}

function fields(bytes) {
  const found = [];
  let at = 0;
  const number = () => {
    for (let value = 0, unit = 1; ; unit *= 128) {
      value += (bytes[at] & 127) * unit;
      if (bytes[at++] < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = number();
    const value = number(); // of itself, or the length of what follows
    if ((tag & 7) === 2) found.push([tag >> 3, bytes.subarray(at, (at += value))]);
  }
  return found;
}
