// Live: sends the camera's frames to the API one at a time, and shows the estimates over the picture.

import { closeCamera, openCamera } from "./camera.js";
import { follow } from "./following.js";
import { toBlob } from "./photos.js";
import { clone, countFaces } from "./results.js";
import { predict } from "./server.js";
import { Trouble, fill, texts } from "./texts.js";

const SIDE = 640; // longest side of the frames that are sent
const [dialog, picture, faces, rate, status, other] = ["live", "live-picture", "live-faces", "live-rate", "live-status", "live-switch"].map(
  (id) => document.getElementById(id),
);
const video = dialog.querySelector("video");
const canvas = document.createElement("canvas");
let stream = null;

/** Run until the user stops it or leaves the page, or an error occurs; throws Trouble. */
export async function watch(coverage) {
  const work = new AbortController();
  const stop = () => work.abort();
  const onEnd = () => work.abort(new Trouble(texts.script.camera_ended));
  say(texts.script.waiting);
  try {
    await turnTo({ facingMode: "user" }, onEnd);
    dialog.showModal();
    dialog.onclose = document.getElementById("live-stop").onclick = document.onvisibilitychange = stop;
    other.onclick = () => turnTo(otherCamera(), onEnd).catch((error) => work.abort(error));
    await look({ coverage, rotate: "false" }, work.signal);
  } catch (error) {
    if (!work.signal.aborted) throw error;
    if (work.signal.reason instanceof Trouble) throw work.signal.reason;
  } finally {
    document.onvisibilitychange = null;
    closeCamera(stream);
    stream = video.srcObject = null;
    faces.replaceChildren();
    rate.textContent = "";
    if (dialog.open) dialog.close();
  }
}

async function look(options, signal) {
  let known = [];
  let seconds = 0;
  const onWait = (wait) => say(fill(texts.script.busy, { seconds: wait }));
  for (let frames = 1, last = performance.now(); ; frames++) {
    const from = await nextFrame(signal);
    const answer = await predict({ file: await frame(), name: "camera.jpg" }, options, { signal, onWait });
    signal.throwIfAborted();
    if (from !== stream) known = []; // the camera has been switched
    else known = follow(known, answer.faces);
    show(known, answer);
    const now = performance.now();
    seconds += ((now - last) / 1000 - seconds) / Math.min(frames, 10);
    last = now;
    rate.textContent = fill(texts.live.rate, { rate: (1 / seconds).toFixed(1) });
    say(countFaces(answer.faces.length));
  }
}

/** Wait for the next frame; resolves to its stream. */
function nextFrame(signal) {
  return new Promise((resolve, reject) => {
    const end = () => reject(signal.reason);
    if (signal.aborted) return end();
    signal.addEventListener("abort", end, { once: true });
    const come = () => {
      signal.removeEventListener("abort", end);
      resolve(stream);
    };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(come);
    else setTimeout(come, 40);
  });
}

function frame() {
  const scale = Math.min(1, SIDE / Math.max(video.videoWidth, video.videoHeight));
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight].map((side) => Math.max(1, Math.round(side * scale)));
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return toBlob(canvas);
}

/** Place boxes and labels over the faces; elements are reused, so that they move and do not flicker. */
function show(known, { width, height }) {
  while (faces.children.length > known.length) faces.lastElementChild.remove();
  while (faces.children.length < known.length) faces.append(clone("t-live"));
  known.forEach((face, index) => {
    const element = faces.children[index];
    const [x1, y1, x2, y2] = face.box;
    const left = picture.classList.contains("mirrored") ? width - x2 : x1;
    const percents = { left: left / width, top: y1 / height, width: (x2 - x1) / width, height: (y2 - y1) / height };
    for (const [side, part] of Object.entries(percents)) element.style[side] = `${100 * part}%`;
    element.classList.toggle("low", y1 / height < 0.2); // no room above
    element.classList.toggle("right", (left + x2 - x1) / width > 0.6);
    element.querySelector(".live-years").textContent = Math.round(face.years);
    element.querySelector(".live-gender").textContent = texts.gender[face.label];
    const [low, high] = [face.low, face.high].map(Math.round);
    element.querySelector(".live-interval").textContent = fill(texts.result.interval, { low, high });
  });
}

async function turnTo(wanted, onEnd) {
  closeCamera(stream); // phones can open only one at a time
  stream = await openCamera(wanted);
  stream.getVideoTracks()[0].onended = onEnd; // not called when the page closes the camera
  video.srcObject = stream;
  picture.classList.toggle("mirrored", settings().facingMode !== "environment");
  faces.replaceChildren();
  const cameras = await allCameras();
  other.hidden = cameras.length < 2;
  other.dataset.next = nextOf(cameras);
}

/** The camera on the other side of a phone; on other devices the next one. */
function otherCamera() {
  const { facingMode } = settings();
  if (facingMode) return { facingMode: { exact: facingMode === "user" ? "environment" : "user" } };
  return { deviceId: { exact: other.dataset.next } };
}

function settings() {
  return stream.getVideoTracks()[0].getSettings();
}

async function allCameras() {
  return (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
}

function nextOf(cameras) {
  const current = cameras.findIndex((camera) => camera.deviceId === settings().deviceId);
  return cameras[(current + 1) % cameras.length]?.deviceId ?? "";
}

function say(text) {
  if (status.textContent !== text) status.textContent = text;
}
