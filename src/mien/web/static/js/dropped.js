// Drag and drop: files, folders with files in them, or only the address of a picture.

/** Whether the page accepts a dragged object. */
export function mayBeDropped(transfer) {
  return transfer.types.includes("Files") || transfer.types.includes("text/uri-list");
}

/** The dropped files, including those in folders; must be called during the drop event. */
export async function droppedFiles(transfer) {
  const files = [...transfer.files];
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.());
  if (!entries.some((entry) => entry?.isDirectory)) return files;
  return (await Promise.all(entries.filter(Boolean).map(filesOf))).flat();
}

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at a time
    if (some.length === 0) break;
    found.push(...some);
  }
  found.sort((a, b) => a.name.localeCompare(b.name));
  return (await Promise.all(found.filter((inner) => !inner.name.startsWith(".")).map(filesOf))).flat();
}
