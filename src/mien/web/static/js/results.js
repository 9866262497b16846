// Showing results: the server makes the article of a photo; this adds its pictures and event handlers.

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

/** The article of one photo with its result; `canvas` is the photo's preview, `url` the same picture as a URL. */
export function photoArticle(name, html, { faces, width }, { canvas, url }) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const article = template.content.firstElementChild;
  write(article, { ".photo-name": name }); // the server's copy has %22 for quotation marks, as forms encode them
  article.querySelector(".photo-picture").src = url;
  const chips = article.querySelectorAll(".face-chip img");
  faces.forEach((face, index) => (chips[index].src = cutOut(canvas, face.box, width)));
  linkFaces(article);
  return article;
}

/** The placeholder until the result arrives. */
export function waitingArticle(name, canvas) {
  const article = clone("t-waiting");
  write(article, { ".photo-name": name });
  if (canvas) article.querySelector(".frame").append(canvas);
  else article.querySelector(".frame").remove();
  return article;
}

/** The article for an error; `again`, if given, is the action of its button. */
export function failedArticle(name, sentence, again) {
  const article = clone("t-failed");
  write(article, { ".photo-name": name, ".failure-sentence": sentence });
  if (again) article.querySelector("button").addEventListener("click", again);
  else article.querySelector("button").remove();
  return article;
}

/** Highlight a card and its box together, and make the link of each lead to the other. */
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
