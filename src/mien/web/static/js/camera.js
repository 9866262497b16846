// Taking a photo: a dialog with the camera's picture; on phones their own camera.

import { Trouble, fill, texts } from "./texts.js";

const dialog = document.getElementById("camera");
const video = dialog.querySelector("video");
const take = document.getElementById("camera-take");
video.onloadeddata = () => (take.disabled = false);

/** Let a person take a photo; resolves to a File, or null where they close the dialog or use the phone's camera. */
export async function takePhoto() {
  const stream = await openCamera({ facingMode: "user", width: { ideal: 1920 } });
  take.disabled = true; // until the camera's first picture is there: before, there is nothing to take
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

/** The pictures of a camera, if the person and the browser let us; throws Trouble. */
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
