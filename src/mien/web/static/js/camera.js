// Taking a photo, in a dialog with the picture of the camera.

import { Trouble, fill, texts } from "./texts.js";

const dialog = document.getElementById("camera");
const video = dialog.querySelector("video");
const take = document.getElementById("camera-take");
video.onloadeddata = () => (take.disabled = false);

/** Let the user take a photo; resolves to a File, or null if the dialog is closed. Throws Trouble. */
export async function takePhoto() {
  const stream = await openCamera({ facingMode: "user", width: { ideal: 1920 } });
  take.disabled = true; // until the camera's first picture arrives
  video.srcObject = stream;
  dialog.showModal();
  try {
    return await chosen();
  } finally {
    closeCamera(stream);
    video.srcObject = null;
    if (dialog.open) dialog.close();
  }
}

export const cameraAtHand = Boolean(navigator.mediaDevices?.getUserMedia);

/** The video stream of a camera; throws Trouble if the user or the browser refuses it. */
export async function openCamera(wanted) {
  try {
    return await navigator.mediaDevices.getUserMedia({ video: wanted });
  } catch (error) {
    throw new Trouble(fill(texts.script.camera_failed, { reason: error.name }));
  }
}

export function closeCamera(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

function chosen() {
  return new Promise((resolve) => {
    document.getElementById("camera-close").onclick = () => resolve(null);
    dialog.onclose = () => resolve(null);
    take.onclick = () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
      canvas.getContext("2d").drawImage(video, 0, 0);
      canvas.toBlob((blob) => resolve(new File([blob], "camera.jpg", { type: "image/jpeg" })), "image/jpeg", 0.95);
    };
  });
}
