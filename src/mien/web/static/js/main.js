// The first page: collects photos, sends them one by one, and shows the results.

import { cameraAtHand, takePhoto } from "./camera.js";
import { droppedFiles, mayBeDropped } from "./dropped.js";
import { watch } from "./live.js";
import { examine, preview, toBlob } from "./photos.js";
import { clone, countFaces, failedArticle, photoArticle, waitingArticle } from "./results.js";
import { annotate, ask, copy } from "./server.js";
import { Trouble, fill, limits, texts } from "./texts.js";

const [tool, form, drop, input, queueList, refusals, results, done, status] = [
  "tool", "form", "drop", "photos", "queue", "refusals", "results", "photos-done", "status",
].map((id) => document.getElementById(id));

let queue = []; // photos to send: { file, name, canvas }
let answers = []; // one JSON object per photo, in the same order
let urls = [];
let work = new AbortController();
const cancelled = new WeakSet(); // signals of rounds that the user cancelled
const cancel = document.getElementById("cancel");

// ---- collecting ----

async function add(files, name) {
  if (tool.hidden) showTool();
  refusals.replaceChildren();
  for (const file of files) {
    if (queue.length === limits.files) {
      refuse(fill(texts.script.too_many, { count: limits.files }));
      break;
    }
    if (queue.some((photo) => isSame(photo.file, file))) {
      refuse(fill(texts.script.twice, { name: file.name }));
      continue;
    }
    try {
      queue.push(await examine(file, name ?? file.name));
    } catch (error) {
      refuse(sentence(error));
    }
  }
  showQueue();
}

function isSame(one, other) {
  return one.name === other.name && one.size === other.size && one.lastModified === other.lastModified;
}

/** The message for an error; an unexpected one also goes to the console. */
function sentence(error) {
  if (error instanceof Trouble) return error.message;
  console.warn(error);
  return texts.script.unforeseen;
}

function refuse(text) {
  refusals.append(Object.assign(document.createElement("p"), { textContent: text }));
}

function showQueue() {
  queueList.replaceChildren(...queue.map(queuedItem));
  queueList.hidden = queue.length === 0;
  form.classList.toggle("ready", queue.length > 0);
  if (queue.length) say(fill(queue.length === 1 ? texts.script.ready_one : texts.script.ready_several, { count: queue.length }));
  else say("");
}

function queuedItem(photo) {
  const item = clone("t-queued");
  item.querySelector(".queued-picture").append(photo.canvas ?? texts.script.no_preview);
  item.querySelector(".queued-name").textContent = photo.name;
  const remove = item.querySelector(".queued-remove");
  remove.setAttribute("aria-label", fill(texts.script.remove, { name: photo.name }));
  remove.addEventListener("click", () => {
    queue = queue.filter((other) => other !== photo);
    showQueue();
    (queueList.querySelector("button") ?? input).focus();
  });
  return item;
}

/** Announce a text to screen readers; with `seen` also show it for a few seconds. */
function say(text, { seen = false } = {}) {
  status.textContent = text;
  status.classList.toggle("seen", seen);
  clearTimeout(say.timer);
  if (seen) say.timer = setTimeout(() => status.classList.remove("seen"), 6000);
}

// ---- sending ----

async function estimate(photos) {
  work.abort();
  work = new AbortController();
  const { signal } = work;
  urls.forEach((url) => URL.revokeObjectURL(url));
  urls = [];
  const options = { faces: form.elements.faces.value, coverage: form.elements.coverage.value };
  answers = photos.map(() => null);
  showResults();
  done.replaceChildren(...photos.map((photo) => waitingArticle(photo.name, photo.canvas)));
  cancel.hidden = false;
  for (const [index, photo] of photos.entries()) {
    const count = { number: index + 1, count: photos.length, name: photo.name };
    say(fill(photos.length > 1 ? texts.script.looking_count : texts.script.looking, count));
    await look(photo, index, options, signal);
    if (signal !== work.signal) return; // another round has begun
  }
  cancel.hidden = true;
  sayDone();
}

/** Estimate one photo, and replace its placeholder by the result or the error. */
async function look(photo, index, options, signal) {
  const again = async (changed) => {
    if (work.signal.aborted) work = new AbortController(); // the round was cancelled
    const current = work.signal;
    say(fill(texts.script.looking, photo));
    done.children[index].replaceWith(waitingArticle(photo.name, photo.canvas));
    cancel.hidden = false;
    await look(photo, index, { ...options, ...changed }, current);
    if (current !== work.signal) return;
    cancel.hidden = done.querySelector(".looking") === null;
    sayDone();
  };
  let article;
  try {
    signal.throwIfAborted();
    const onWait = (seconds) => say(fill(texts.script.busy, { seconds }), { seen: true });
    const { answer, article: html } = await ask(photo, options, { signal, onWait });
    const shown = await picture(photo, answer, signal);
    signal.throwIfAborted();
    answers[index] = answer;
    article = photoArticle(photo.name, html, answer, shown);
    article.querySelector(".photo-aligned")?.addEventListener("click", () => again({ faces: "aligned" }));
    article.querySelector(".photo-marked")?.addEventListener("click", (event) => saveMarked(photo, options, event.currentTarget));
  } catch (error) {
    if (signal.aborted && !cancelled.has(signal)) return; // another round has taken its place
    const trouble = signal.aborted ? new Trouble(texts.script.cancelled, { again: true }) : error;
    answers[index] = { photo: photo.name, error: sentence(trouble) };
    const mayHelp = !(trouble instanceof Trouble) || trouble.again;
    article = failedArticle(photo.name, answers[index].error, mayHelp && (() => again({})));
  }
  done.children[index].replaceWith(article);
}

/** The picture to show: the preview, or the server's copy if the browser cannot decode the photo or turns it otherwise. */
async function picture(photo, answer, signal) {
  const ratio = answer.width / answer.height;
  const differs = !photo.canvas || Math.abs(photo.canvas.width / photo.canvas.height / ratio - 1) > 0.02;
  const canvas = differs ? await preview(await copy(photo, signal)) : photo.canvas;
  const url = URL.createObjectURL(await toBlob(canvas));
  urls.push(url);
  return { canvas, url };
}

function sayDone() {
  const photos = answers.length === 1 ? texts.script.one_photo : fill(texts.script.several_photos, { count: answers.length });
  const failures = answers.filter((answer) => answer.error).map((answer) => answer.error);
  const faces = countFaces(answers.reduce((sum, answer) => sum + (answer.faces?.length ?? 0), 0));
  const read = failures.length < answers.length;
  for (const id of ["json-copy", "json-save"]) document.getElementById(id).hidden = !read;
  const summary = read ? fill(texts.script.summary, { photos, faces }) : "";
  say(failures.length ? [summary, ...failures].join(" ").trim() : fill(texts.script.done, { summary }));
}

// ---- the two views ----

function showResults() {
  if (results.hidden) history.pushState({ results: true }, "");
  for (const id of ["json-copy", "json-save"]) document.getElementById(id).hidden = true;
  revealResults();
}

function revealResults() {
  tool.hidden = true;
  results.hidden = false;
  // Open other pages in a new tab, so that the results are not lost.
  for (const link of document.querySelectorAll("a[href='info'], a[href='help'], a[href='docs']")) link.target = "_blank";
  window.scrollTo(0, 0);
  document.getElementById("results-title").focus({ preventScroll: true });
}

/** Show the first view; the results stay available through the browser's "forward" until the next round. */
function showTool() {
  queue = [];
  refusals.replaceChildren();
  tool.hidden = false;
  results.hidden = true;
  showQueue();
}

// ---- saving results ----

function asJson() {
  return `${JSON.stringify(answers.length === 1 ? answers[0] : { photos: answers }, null, 2)}\n`;
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

async function saveMarked(photo, options, button) {
  button.disabled = true;
  try {
    save(await annotate(photo, options), `${photo.name.replace(/\.\w+$/, "")}-faces.jpg`);
  } catch (error) {
    say(sentence(error), { seen: true });
  } finally {
    button.disabled = false;
  }
}

// ---- events ----

input.required = false; // the form submits the queue, not this field
input.addEventListener("change", async () => {
  const files = [...input.files];
  input.value = "";
  await add(files);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (queue.length) estimate(queue);
});
document.getElementById("sample").addEventListener("click", async (event) => {
  event.preventDefault();
  const response = await fetch(event.currentTarget.querySelector("img").src).catch(() => null);
  if (!response?.ok) return refuse(texts.script.unreachable);
  const file = new File([await response.blob()], texts.script.sample_name, { type: "image/jpeg" });
  try {
    estimate([await examine(file)]);
  } catch {
    refuse(texts.script.signed_out); // the response was a login page
  }
});
document.getElementById("another").addEventListener("click", () => history.back());
addEventListener("popstate", (event) => {
  if (event.state?.results && answers.length) return revealResults();
  showTool();
  input.focus();
});
document.querySelector(".brand").addEventListener("click", (event) => {
  if (results.hidden) return;
  event.preventDefault();
  history.back();
});
addEventListener("beforeunload", (event) => {
  if (answers.some((answer) => answer?.faces)) event.preventDefault(); // makes the browser ask for confirmation
});
cancel.addEventListener("click", () => {
  cancelled.add(work.signal);
  work.abort();
});
document.getElementById("json-save").addEventListener("click", () => save(new Blob([asJson()], { type: "application/json" }), "mien.json"));
document.getElementById("json-copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(asJson());
    say(texts.script.copied, { seen: true });
  } catch {
    say(texts.script.copy_failed, { seen: true });
  }
});

addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (files.length) add(files, files.length === 1 && /^image\.\w+$/.test(files[0].name) ? texts.script.pasted : undefined);
  else if (!tool.hidden) {
    refusals.replaceChildren();
    refuse(texts.script.no_picture_pasted);
  }
});
addEventListener("dragover", (event) => {
  if (!mayBeDropped(event.dataTransfer)) return;
  event.preventDefault();
  drop.classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
addEventListener("drop", async (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const files = await droppedFiles(event.dataTransfer);
  await add(files);
  if (files.length === 0) refuse(texts.script.nothing_dropped);
});

const cameraButton = document.getElementById("camera-open");
const liveButton = document.getElementById("live-open");
cameraButton.hidden = liveButton.hidden = !cameraAtHand;
document.getElementById("camera-missing").hidden = cameraAtHand || isSecureContext;
cameraButton.addEventListener("click", async () => {
  try {
    const file = await takePhoto();
    if (file) await add([file], texts.script.taken);
  } catch (error) {
    refuse(sentence(error));
  }
});
liveButton.addEventListener("click", async () => {
  refusals.replaceChildren();
  try {
    await watch(form.elements.coverage.value);
  } catch (error) {
    refuse(sentence(error));
  }
});
