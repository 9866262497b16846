// Showing answers: the server makes the article of a photo, and here it gets its pictures and comes to life.

import { cutOut } from "./photos.js";
import { fill, texts } from "./texts.js";

export function clone(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

function write(root, values) {
  for (const [selector, value] of Object.entries(values)) root.querySelector(selector).textContent = value;
}

export function countFaces(count) {
  if (count === 0) return texts.result.no_faces;
  return count === 1 ? texts.result.one_face : fill(texts.result.several_faces, { count });
}

/** The article of one photo with its answer; `canvas` is its preview, `url` the same as an image. */
export function photoArticle(name, html, { faces, width }, { canvas, url }) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const article = template.content.firstElementChild;
  write(article, { ".photo-name": name }); // on its way a form writes %22 for quotation marks
  article.querySelector(".photo-picture").src = url;
  const chips = article.querySelectorAll(".face-chip img");
  faces.forEach((face, index) => (chips[index].src = cutOut(canvas, face.box, width)));
  linkFaces(article);
  return article;
}

/** Stands where the answer will be. */
export function waitingArticle(name, canvas) {
  const article = clone("t-waiting");
  write(article, { ".photo-name": name });
  if (canvas) article.querySelector(".frame").append(canvas);
  else article.querySelector(".frame").remove();
  return article;
}

/** Says what went wrong; `again`, if given, is what the button does. */
export function failedArticle(name, sentence, again) {
  const article = clone("t-failed");
  write(article, { ".photo-name": name, ".failure-sentence": sentence });
  if (again) article.querySelector("button").addEventListener("click", again);
  else article.querySelector("button").remove();
  return article;
}

/** A card and its box light up together, and each one's link leads to the other. */
function linkFaces(article) {
  const light = (on) => (event) => {
    const part = event.target.closest(".box, .face");
    const twin = part && article.querySelector(`#${part.id.replace(/-([bf])(\d+)$/, (_, k, n) => `-${k === "b" ? "f" : "b"}${n}`)}`);
    for (const element of [part, twin]) element?.classList.toggle("lit", on);
  };
  for (const event of ["pointerover", "focusin"]) article.addEventListener(event, light(true));
  for (const event of ["pointerout", "focusout"]) article.addEventListener(event, light(false));
  article.addEventListener("click", (event) => {
    const link = event.target.closest("a.box, a.face-chip");
    if (!link) return;
    event.preventDefault();
    const target = article.querySelector(link.getAttribute("href"));
    (target.querySelector(".face-chip") ?? target).focus({ preventScroll: true });
    target.scrollIntoView({ block: "nearest" });
  });
}
