// Checks and previews of photos before they are sent.

import { Trouble, fill, limits, texts } from "./texts.js";

const PREVIEW_SIDE = 1600;
const ENDING = /\.(jpe?g|jfif|png|webp|gif|bmp|tiff?|hei[cf]|avif|jp2|ppm|pgm|tga)$/i;
const BEGINNING = /^(\xff\xd8\xff|\x89PNG|GIF8[79]a|RIFF[^]{4}WEBP|BM[^]{4}\0{4}|II\*\0|MM\0\*|[^]{4}ftyp(hei|hev|mif|msf|avi)|\0{3}\x0cjP)/;
const SHOWN_BY_ALL = /^image\/(jpeg|png|gif|webp|bmp)$/;

/**
 * Check a file, and draw a preview if the browser can decode it.
 * Returns { file, name, canvas }; canvas is null for formats that only the server can read.
 * Throws Trouble if the file is not a picture, empty or too large.
 */
export async function examine(file, name = file.name) {
  const says = (text) => new Trouble(fill(text, { name, size: limits.size_text }));
  if (file.size === 0) throw says(texts.script.empty);
  if (!(await isPicture(file))) throw says(texts.script.not_picture);
  if (file.size > limits.bytes) throw says(texts.script.too_large);
  const canvas = await preview(file);
  if (!canvas && SHOWN_BY_ALL.test(file.type)) throw says(texts.script.not_picture);
  return { file, name, canvas };
}

/** Whether a file is a picture, by its type, its name or else its first bytes. */
async function isPicture(file) {
  if (file.type === "image/svg+xml" || file.type.startsWith("text/")) return false;
  if (file.type.startsWith("image/") || ENDING.test(file.name)) return true;
  const head = String.fromCharCode(...new Uint8Array(await file.slice(0, 16).arrayBuffer()));
  return BEGINNING.test(head);
}

/** A canvas with the upright picture, at most PREVIEW_SIDE pixels wide and high; null if it cannot be decoded. */
export async function preview(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    return null;
  }
  const scale = Math.min(1, PREVIEW_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // the server also composes transparent pictures on white
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas;
}

/** The square around a box as a data URL, cut from the preview of a photo that is `width` pixels wide. */
export function cutOut(canvas, box, width, side = 192) {
  const scale = canvas.width / width;
  const [x1, y1, x2, y2] = box.map((value) => value * scale);
  const edge = Math.min(Math.max(x2 - x1, y2 - y1), canvas.width, canvas.height);
  const within = (middle, most) => Math.min(Math.max(middle - edge / 2, 0), most - edge);
  const chip = document.createElement("canvas");
  chip.width = chip.height = side;
  const x = within((x1 + x2) / 2, canvas.width);
  const y = within((y1 + y2) / 2, canvas.height);
  chip.getContext("2d").drawImage(canvas, x, y, edge, edge, 0, 0, side, side);
  return chip.toDataURL("image/jpeg", 0.9);
}

export function toBlob(canvas) {
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}
