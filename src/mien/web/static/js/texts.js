// The texts and limits of the page, from its data attributes.

const { dataset } = document.getElementById("tool");

export const texts = JSON.parse(dataset.texts);
export const limits = JSON.parse(dataset.limits);

/** Replace the names in braces by values: fill("Face {number}", { number: 1 }). */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

/** An error whose message is a sentence for the user; `again` tells whether a retry may help. */
export class Trouble extends Error {
  constructor(sentence, { again = false } = {}) {
    super(sentence);
    this.again = again;
  }
}
