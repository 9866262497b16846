// Tracking of faces from frame to frame, with a smoothed estimate of each.

const SAME = 0.3; // minimum intersection over union of two boxes of one face
const QUICK = 0.6; // weight of a new box
const SLOW = 0.12; // minimum weight of a new estimate
const PATIENCE = 2; // frames for which a face that is not found is kept

/**
 * Update the known faces with those found in a new frame.
 * Each is { box, years, low, high, shares, label, seen, missed }; shares are the smoothed frequencies of the labels.
 */
export function follow(known, found) {
  const waiting = [...known];
  const now = found.map((face) => {
    const twin = waiting.reduce((best, one) => (overlap(one.box, face.box) > (best ? overlap(best.box, face.box) : SAME) ? one : best), null);
    if (twin) waiting.splice(waiting.indexOf(twin), 1);
    return twin ? blended(twin, face) : begun(face);
  });
  const missed = waiting.map((one) => ({ ...one, missed: one.missed + 1 })).filter((one) => one.missed <= PATIENCE);
  return [...now, ...missed];
}

function begun({ box, age: { years, low, high }, gender: { label } }) {
  return { box, years, low, high, shares: { [label]: 1 }, label, seen: 1, missed: 0 };
}

function blended(old, { box, age, gender }) {
  const seen = old.seen + 1;
  const weight = Math.max(1 / seen, SLOW);
  const mix = (a, b, part = weight) => a + part * (b - a);
  const labels = new Set([...Object.keys(old.shares), gender.label]);
  const shares = Object.fromEntries([...labels].map((label) => [label, mix(old.shares[label] ?? 0, label === gender.label ? 1 : 0)]));
  const label = Object.keys(shares).reduce((best, other) => (shares[other] > shares[best] ? other : best));
  const [years, low, high] = ["years", "low", "high"].map((name) => mix(old[name], age[name]));
  return { box: box.map((value, i) => mix(old.box[i], value, QUICK)), years, low, high, shares, label, seen, missed: 0 };
}

/** Intersection over union. */
function overlap(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  return (width * height) / (area(a) + area(b) - width * height);
}
