// What a peer in JavaScript sees in photos: `node peers.mjs PEER FOLDER`, paths on standard input.
//
// FOLDER holds node_modules. A line of JSON for each photo: CPU milliseconds and the faces, ages in years.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";

const [peer, folder] = process.argv.slice(2);
const modules = resolve(folder, "node_modules");
const require = createRequire(join(modules, "peers.js"));
const sharp = require("sharp");
const wasm = join(modules, "@tensorflow/tfjs-backend-wasm/dist/");

/** CPU milliseconds since a reading of process.cpuUsage(). */
function milliseconds(start) {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

/** A photo as a tensor of the library: height × width × red, green, blue. */
async function read(tf, path) {
  const { data, info } = await sharp(path).rotate().toColourspace("srgb").removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return tf.tensor3d(new Uint8Array(data), [info.height, info.width, 3], "int32");
}

async function faceApi() {
  const tf = require("@tensorflow/tfjs");
  require("@tensorflow/tfjs-backend-wasm").setWasmPaths(wasm);
  await tf.setBackend("wasm");
  await tf.ready();
  const api = require("@vladmandic/face-api/dist/face-api.node-wasm.js");
  const nets = [api.nets.ssdMobilenetv1, api.nets.faceLandmark68Net, api.nets.ageGenderNet];
  for (const net of nets) await net.loadFromDisk(join(modules, "@vladmandic/face-api/model"));
  return async (path) => {
    const photo = await read(tf, path);
    const found = await api.detectAllFaces(photo).withFaceLandmarks().withAgeAndGender();
    photo.dispose();
    return found.map(({ age, gender, detection: { box } }) => ({ age, gender, box: [box.left, box.top, box.right, box.bottom] }));
  };
}

async function human() {
  // It reads its nets with fetch, which knows no files here.
  globalThis.fetch = async (url) => new Response(await readFile(fileURLToPath(url)));
  const { Human } = require(join(modules, "@vladmandic/human/dist/human.node-wasm.js"));
  const off = { enabled: false };
  const own = new Human({
    backend: "wasm",
    wasmPath: wasm,
    modelBasePath: pathToFileURL(join(modules, "@vladmandic/human/models/")).href,
    cacheSensitivity: 0,
    filter: off, body: off, hand: off, object: off, gesture: off, segmentation: off,
    face: { enabled: true, detector: { maxDetected: 10 }, mesh: { enabled: true }, description: { enabled: true }, iris: off, emotion: off, antispoof: off, liveness: off },
  });
  await own.init();
  return async (path) => {
    const photo = await read(own.tf, path);
    const { face } = await own.detect(photo);
    own.tf.dispose(photo);
    return face.map(({ age, gender, box: [x, y, width, height] }) => ({ age, gender, box: [x, y, x + width, y + height] }));
  };
}

const look = await { "face-api": faceApi, human }[peer]();
for await (const path of createInterface({ input: process.stdin })) {
  const start = process.cpuUsage();
  const faces = await look(path);
  console.log(JSON.stringify({ milliseconds: milliseconds(start), faces }));
}
console.log(JSON.stringify({ peak: process.resourceUsage().maxRSS / 1000 }));
