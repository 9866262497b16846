// Requests to the server.

import { Trouble, fill, texts } from "./texts.js";

const TRIES_WHEN_BUSY = 5;

/** The result of one photo in the API's form, and the HTML article that shows it; throws Trouble. */
export async function ask(photo, options, patience) {
  return whole(await send("article", photo, options, patience), (document) => document?.answer?.faces);
}

/** The result of one photo in the API's form; throws Trouble. */
export async function predict(photo, options, patience) {
  return whole(await send("api/v1/predict", photo, options, patience), (document) => document?.faces);
}

/** The successful response; tries again while the server is busy, TRIES_WHEN_BUSY times in all. Throws Trouble. */
async function send(address, photo, options, { signal, onWait }) {
  for (let tries = 1; ; tries++) {
    const response = await post(address, photo, options, signal);
    if (response.ok) return response;
    const wait = Number(response.headers.get("Retry-After"));
    if (!wait || tries === TRIES_WHEN_BUSY) throw await troubleOf(response);
    onWait(wait);
    await new Promise((resolve) => {
      setTimeout(resolve, 1000 * wait);
      signal.addEventListener("abort", resolve, { once: true });
    });
    signal.throwIfAborted();
  }
}

/** The photo with its faces marked, as a JPEG without metadata. */
export function annotate(photo, options) {
  return picture("api/v1/annotate", photo, options);
}

/** The photo as an upright JPEG, for formats that the browser cannot show. */
export function copy(photo, signal) {
  return picture("copy", photo, {}, signal);
}

async function picture(address, photo, options, signal) {
  const response = await post(address, photo, options, signal);
  if (!response.ok || !isType(response, "image/")) throw await troubleOf(response);
  return response.blob();
}

async function post(address, photo, options, signal) {
  const body = new FormData();
  body.append("photo", photo.file, photo.name);
  for (const [name, value] of Object.entries(options)) body.append(name, value);
  try {
    return await fetch(address, { method: "POST", body, signal, redirect: "manual" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Trouble(texts.script.unreachable, { again: true });
  }
}

/** The JSON document of a successful response; throws Trouble if it is a login page or incomplete. */
async function whole(response, facesOf) {
  if (!isType(response, "application/json")) throw await troubleOf(response);
  const document = await response.json().catch(() => null);
  if (!Array.isArray(facesOf(document))) throw new Trouble(texts.script.cut_short, { again: true });
  return document;
}

function isType(response, type) {
  return (response.headers.get("Content-Type") ?? "").startsWith(type);
}

/** The error in a response: mien's own message, or a guess from the status if a server in between answered. */
async function troubleOf(response) {
  const { status } = response;
  if (isType(response, "application/problem+json")) {
    const problem = await response.json().catch(() => ({}));
    const again = status >= 500 || [408, 421, 429].includes(status) || !problem.detail;
    return new Trouble(problem.detail ?? fill(texts.script.unclear, { status }), { again });
  }
  const signedOut = response.type === "opaqueredirect" || response.ok || status === 401 || status === 403;
  if (signedOut) return new Trouble(texts.script.signed_out, { again: true });
  return new Trouble(status === 413 ? texts.script.too_large_on_way : fill(texts.script.unclear, { status }), { again: true });
}
