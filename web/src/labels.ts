import type { Label } from "./types.ts";

/** Colours that stay apart from each other and from grey tissue. */
const COLOURS = [
  "#e6194b", "#3cb44b", "#4363d8", "#ffe119", "#f58231", "#911eb4", "#42d4f4", "#f032e6",
  "#bfef45", "#fabed4", "#469990", "#dcbeff", "#9a6324", "#fffac8", "#800000", "#aaffc3",
];

export function nextValue(labels: readonly Label[]): number | null {
  const used = new Set(labels.map((label) => label.value));
  for (let value = 1; value < 256; value++) if (!used.has(value)) return value;
  return null;
}

export function nextColour(labels: readonly Label[]): string {
  const used = new Set(labels.map((label) => label.colour.toLowerCase()));
  return COLOURS.find((colour) => !used.has(colour)) ?? COLOURS[labels.length % COLOURS.length]!;
}

function freeName(labels: readonly Label[], wish: string): string {
  const used = new Set(labels.map((label) => label.name));
  let name = wish;
  for (let i = 2; used.has(name); i++) name = `${wish} ${i}`;
  return name;
}

export function addLabel(labels: readonly Label[]): { labels: Label[]; added: Label } | null {
  const value = nextValue(labels);
  if (value === null) return null;
  const added = { value, name: freeName(labels, `label ${value}`), colour: nextColour(labels) };
  return { labels: [...labels, added], added };
}

/** Gives null when nothing would change, so that no request is sent for an untouched field. */
export function changeLabel(labels: readonly Label[], value: number, change: Partial<Omit<Label, "value">>): Label[] | null {
  const old = labels.find((label) => label.value === value);
  if (!old) return null;
  const name = (change.name ?? old.name).trim();
  const colour = change.colour ?? old.colour;
  if (!name || (name === old.name && colour === old.colour)) return null;
  return labels.map((label) => (label.value === value ? { value, name, colour } : label));
}

/** The n-th label of the list, which is what the digit keys mean. */
export function labelByDigit(labels: readonly Label[], digit: number): Label | null {
  return labels[digit - 1] ?? null;
}
