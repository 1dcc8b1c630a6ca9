import type { ImageEntry } from "./types.ts";

export type Order = "name" | "doubt" | "chosen";

const names = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

function byName(a: ImageEntry, b: ImageEntry): number {
  return names.compare(a.name, b.name) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

const GROUP = { doubt: 0, open: 1, done: 2 } as const;

/** Images in doubt come first; among them flagged ones, then the least confident. An unknown confidence comes last. */
function byDoubt(a: ImageEntry, b: ImageEntry): number {
  return (
    GROUP[a.state] - GROUP[b.state] ||
    Number(b.flags.length > 0) - Number(a.flags.length > 0) ||
    (a.confidence ?? 2) - (b.confidence ?? 2) ||
    byName(a, b)
  );
}

function byChoice(a: ImageEntry, b: ImageEntry): number {
  return (a.chosen ?? Infinity) === (b.chosen ?? Infinity) ? byName(a, b) : (a.chosen ?? Infinity) - (b.chosen ?? Infinity);
}

export function sortImages(images: readonly ImageEntry[], order: Order): ImageEntry[] {
  return [...images].sort(order === "name" ? byName : order === "doubt" ? byDoubt : byChoice);
}

export function filterImages(images: readonly ImageEntry[], text: string): ImageEntry[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return images.filter((image) => words.every((word) => image.name.toLowerCase().includes(word)));
}

/** The image `step` places on in the shown order; null past either end. */
export function neighbour(images: readonly ImageEntry[], current: string | null, step: 1 | -1): string | null {
  const at = images.findIndex((image) => image.name === current);
  if (at < 0) return images[0]?.name ?? null;
  return images[at + step]?.name ?? null;
}

export function counts(images: readonly ImageEntry[]): Record<ImageEntry["state"], number> {
  const found = { open: 0, doubt: 0, done: 0 };
  for (const image of images) found[image.state]++;
  return found;
}
