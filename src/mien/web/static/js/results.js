// Showing answers: clones the page's templates and fills them.

import { cutOut } from "./photos.js";
import { fill, texts } from "./texts.js";

const whole = (value) => Math.round(value.toFixed(1)); // halves up, as in every other answer
const percent = (part, all) => `${(100 * part) / all}%`;

export function clone(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

function write(root, values) {
  for (const [selector, value] of Object.entries(values)) root.querySelector(selector).textContent = value;
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

export function countFaces(count) {
  if (count === 0) return texts.result.no_faces;
  return count === 1 ? texts.result.one_face : fill(texts.result.several_faces, { count });
}

function nameOf(number, face) {
  const gender = texts.gender[face.gender.label];
  return fill(texts.result.face, { number, years: whole(face.age.years), gender });
}

/** The article of one photo with its answer; `canvas` is its preview, `url` the same as an image. */
export function photoArticle(id, name, answer, { canvas, url }) {
  const { faces, width, height } = answer;
  const article = clone("t-photo");
  const size = fill(texts.result.size, { width, height });
  write(article, { ".photo-name": name, ".photo-facts": `${countFaces(faces.length)} · ${size}` });
  const picture = article.querySelector(".photo-picture");
  set(picture, { src: url, alt: fill(texts.result.photo_alt, { name }), width: canvas.width, height: canvas.height });
  if (faces.length === 0) article.querySelector(".answer").replaceChildren(clone("t-none"));
  faces.forEach((face, index) => {
    article.querySelector(".overlay").append(box(id, index + 1, face, answer));
    article.querySelector(".faces").append(card(id, index + 1, face, cutOut(canvas, face.box, width)));
  });
  linkFaces(article);
  return article;
}

/** Stands where the answer will be. */
export function waitingArticle(name, canvas) {
  const article = clone("t-photo");
  article.classList.add("looking-at");
  write(article, { ".photo-name": name });
  article.querySelector(".answer").replaceChildren(
    Object.assign(document.createElement("p"), { className: "looking", textContent: texts.script.waiting }),
  );
  if (canvas) article.querySelector(".frame").replaceChildren(canvas);
  else article.querySelector(".frame").remove();
  return article;
}

/** Says what went wrong; `again`, if given, is what the button does. */
export function failedArticle(name, sentence, again) {
  const article = clone("t-photo");
  write(article, { ".photo-name": name, ".photo-facts": texts.result.failed });
  const failure = clone("t-failure");
  write(failure, { ".failure-sentence": sentence });
  if (again) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: texts.script.retry });
    button.className = "button button-quiet";
    button.addEventListener("click", again);
    failure.append(button);
  }
  article.querySelector(".stage").remove();
  article.querySelector(".answer").replaceWith(failure);
  return article;
}

function box(id, number, face, { width, height }) {
  const link = clone("t-box").firstElementChild;
  const [x1, y1] = face.box.slice(0, 2).map((value) => Math.max(0, value));
  const [x2, y2] = [Math.min(width, face.box[2]), Math.min(height, face.box[3])];
  const corner = { x: percent(x1, width), y: percent(y1, height) };
  set(link, { id: `${id}-b${number}`, href: `#${id}-f${number}`, "aria-label": nameOf(number, face) });
  for (const rect of link.querySelectorAll(":scope > rect")) {
    set(rect, { ...corner, width: percent(x2 - x1, width), height: percent(y2 - y1, height) });
  }
  set(link.querySelector(".box-number"), corner);
  link.querySelector(".box-number").classList.toggle("above", y1 > 0.06 * height);
  write(link, { text: number });
  return link;
}

function likelihood({ label, probability, p_female }) {
  const likelier = label === "uncertain" ? ` ${texts.gender[p_female >= 0.5 ? "female" : "male"]}` : "";
  return `${whole(100 * probability)} %${likelier}`;
}

function card(id, number, face, chip) {
  const item = clone("t-face");
  const { age, gender } = face;
  const [low, high] = [whole(age.low), whole(age.high)];
  item.id = `${id}-f${number}`;
  set(item.querySelector(".face-chip"), { href: `#${id}-b${number}` });
  set(item.querySelector(".face-chip img"), { src: chip, alt: fill(texts.result.chip_alt, { number }) });
  write(item, {
    h4: nameOf(number, face),
    ".face-number": number,
    ".years": whole(age.years),
    ".face-interval": fill(texts.result.interval, { low, high }),
    ".face-coverage": fill(texts.result.interval_note, { percent: +(100 * age.coverage).toFixed(1) }),
    ".gender-label": texts.gender[gender.label],
    ".gender-percent": likelihood(gender),
  });
  item.querySelector(".meter-value").setAttribute("width", percent(gender.probability, 1));
  drawRuler(item.querySelector(".ruler"), age);
  item.querySelector(".ruler").setAttribute("aria-label", fill(texts.result.interval_label, { low, high }));
  item.querySelector(".flags").replaceChildren(...face.flags.map(flagItem));
  return item;
}

function flagItem(flag) {
  return Object.assign(document.createElement("li"), { textContent: texts.flags[flag] ?? flag });
}

function drawRuler(ruler, age) {
  const [low, years, high] = [age.low, age.years, age.high].map((value) => Math.min(100, value));
  set(ruler.querySelector(".ruler-interval"), { x: `${low}%`, width: `${high - low}%` });
  set(ruler.querySelector(".ruler-mark"), { x1: `${years}%`, x2: `${years}%` });
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
