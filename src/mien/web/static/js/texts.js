// The page's words and limits, which it carries as data.

const { dataset } = document.getElementById("tool");

export const texts = JSON.parse(dataset.texts);
export const limits = JSON.parse(dataset.limits);

/** Put values into the braces of a text: fill("Face {number}", { number: 1 }). */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

/** An error whose message is a sentence for the person before the page. */
export class Trouble extends Error {
  constructor(sentence, { again = false } = {}) {
    super(sentence);
    this.again = again;
  }
}
