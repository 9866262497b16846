// Talking to the server.

import { Trouble, fill, texts } from "./texts.js";

const TRIES_WHEN_BUSY = 5;

/** Faces of one photo, as the API answers. */
export async function predict(photo, options, { signal, onWait }) {
  for (let tries = 1; ; tries++) {
    const response = await post("api/v1/predict", photo, options, signal);
    if (response.ok) return response.json();
    const wait = Number(response.headers.get("Retry-After"));
    if (!wait || tries === TRIES_WHEN_BUSY) throw await troubleOf(response);
    onWait(wait);
    await new Promise((resolve) => setTimeout(resolve, 1000 * wait));
    signal.throwIfAborted();
  }
}

/** The photo with its faces marked, as a JPEG without metadata. */
export function annotate(photo, options) {
  return picture("api/v1/annotate", photo, options);
}

/** The photo as an upright JPEG, for kinds that the browser cannot show. */
export function copy(photo, signal) {
  return picture("copy", photo, {}, signal);
}

async function picture(address, photo, options, signal) {
  const response = await post(address, photo, options, signal);
  if (!response.ok) throw await troubleOf(response);
  return response.blob();
}

async function post(address, photo, options, signal) {
  const body = new FormData();
  body.append("photo", photo.file, photo.name);
  for (const [name, value] of Object.entries(options)) body.append(name, value);
  try {
    return await fetch(address, { method: "POST", body, signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Trouble(texts.script.unreachable, { again: true });
  }
}

async function troubleOf(response) {
  const again = response.status >= 500 || response.status === 429 || response.status === 408;
  const problem = await response.json().catch(() => ({}));
  return new Trouble(problem.detail ?? fill(texts.script.unclear, { status: response.status }), { again });
}
