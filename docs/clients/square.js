// A file as the model takes it: upright, over white, in a square; uint8 [side, side, 3], row by row.
export async function square(picture, side, { fit, largest_side }) {
  const bitmap = await createImageBitmap(picture, { colorSpaceConversion: "none" });
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  let image = context.getImageData(0, 0, bitmap.width, bitmap.height);
  if (largest_side && Math.max(image.width, image.height) > largest_side) image = within(image, largest_side);
  const shorter = Math.min(image.width, image.height);
  if (fit === "crop") image = resized(resized(image, shorter, side), shorter, side);
  else image = within(image, side);
  const pixels = new Uint8Array(side * side * 3); // black
  const [left, top] = [image.width, image.height].map((length) => Math.floor((side - length) / 2));
  for (let y = 0; y < image.height; y++)
    for (let x = 0; x < image.width; x++)
      for (let c = 0; c < 3; c++)
        pixels[((top + y) * side + left + x) * 3 + c] = image.data[(y * image.width + x) * 4 + c];
  return pixels;
}

function within(image, longerSide) {
  const scale = longerSide / Math.max(image.width, image.height);
  const even = (x) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x)); // as Python rounds
  const [width, height] = [image.width, image.height].map((length) => Math.max(1, even(length * scale)));
  return resized(resized(image, image.width, width), image.height, height);
}

// The middle `length` columns become `size` rows, by Pillow's bilinear filter: each is a mean of all that it covers.
function resized({ data, width, height }, length, size) {
  const out = new Uint8Array(size * height * 4);
  const [scale, start] = [length / size, (width - length) / 2];
  const reach = Math.max(scale, 1);
  for (let x = 0; x < size; x++) {
    const centre = start + (x + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - reach + 0.5));
    const weights = [];
    for (let i = first; i < Math.min(width, Math.floor(centre + reach + 0.5)); i++)
      weights.push(Math.max(0, 1 - Math.abs(i + 0.5 - centre) / reach));
    const sum = weights.reduce((a, b) => a + b);
    for (let y = 0; y < height; y++)
      for (let c = 0; c < 4; c++) {
        let value = 0;
        for (let i = 0; i < weights.length; i++) value += weights[i] * data[(y * width + first + i) * 4 + c];
        out[(x * height + y) * 4 + c] = Math.floor(value / sum + 0.5);
      }
  }
  return { data: out, width: height, height: size };
}
