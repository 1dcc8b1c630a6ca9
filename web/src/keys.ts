import type { Tool } from "./types.ts";

export type Command =
  | { do: "undo" | "redo" | "accept" | "clear" | "suggest" | "follow" }
  | { do: "save"; state: "done" | "doubt" }
  | { do: "go"; step: 1 | -1 }
  | { do: "label"; digit: number }
  | { do: "tool"; tool: Tool }
  | { do: "brush"; step: 1 | -1 }
  | { do: "zoom"; step: 1 | -1 }
  | { do: "fit" | "mask" | "shortcuts" };

export interface Stroke {
  key: string;
  ctrl: boolean;
  shift: boolean;
  alt: boolean;
}

const PLAIN: Record<string, Command> = {
  enter: { do: "accept" },
  escape: { do: "clear" },
  backspace: { do: "clear" },
  s: { do: "save", state: "done" },
  d: { do: "save", state: "doubt" },
  n: { do: "go", step: 1 },
  p: { do: "go", step: -1 },
  c: { do: "tool", tool: "click" },
  r: { do: "tool", tool: "scribble" },
  b: { do: "tool", tool: "brush" },
  e: { do: "tool", tool: "eraser" },
  l: { do: "tool", tool: "look" },
  f: { do: "follow" },
  a: { do: "suggest" },
  h: { do: "mask" },
  "[": { do: "brush", step: -1 },
  "]": { do: "brush", step: 1 },
  "+": { do: "zoom", step: 1 },
  "=": { do: "zoom", step: 1 },
  "-": { do: "zoom", step: -1 },
  _: { do: "zoom", step: -1 },
  "0": { do: "fit" },
  "?": { do: "shortcuts" },
};

/** What a key means, or null where the browser should keep it. */
export function commandOf(stroke: Stroke): Command | null {
  const key = stroke.key.toLowerCase();
  if (stroke.ctrl) {
    if (stroke.alt) return null;
    if (key === "z") return { do: stroke.shift ? "redo" : "undo" };
    if (key === "y" && !stroke.shift) return { do: "redo" };
    return null;
  }
  if (stroke.alt) return null;
  if (/^[1-9]$/.test(key)) return { do: "label", digit: Number(key) };
  return PLAIN[key] ?? null;
}

/** The shortcuts as the dialog lists them. */
export const SHORTCUTS: readonly { title: string; rows: readonly [string, string][] }[] = [
  {
    title: "Mark the object",
    rows: [
      ["Click", "This belongs to the object"],
      ["Right click, Alt + click", "This does not belong to it"],
      ["Drag", "Box around the object"],
      ["Drag a marker", "Move a point"],
      ["Right click on a marker", "Delete a point"],
      ["Enter", "Accept the object, begin another"],
      ["Esc, Backspace", "Clear the object"],
      ["Ctrl + Z, Ctrl + Y", "Undo, redo"],
      ["1 to 9", "Label to draw"],
      ["A", "Suggest a mask"],
      ["F", "Follow the object through the slices"],
    ],
  },
  {
    title: "Tools",
    rows: [
      ["C", "Click and box"],
      ["R", "Scribble"],
      ["B, E", "Brush, eraser"],
      ["[ and ]", "Smaller, larger brush"],
      ["L", "Look: move without marking"],
    ],
  },
  {
    title: "View",
    rows: [
      ["Wheel", "Picture: zoom. Volume: next slice"],
      ["Ctrl + wheel, + and -", "Zoom"],
      ["0", "Fit to the window"],
      ["Space + drag, middle button", "Pan"],
      ["Shift + click", "Volume: bring the other planes here"],
      ["H", "Hide or show the mask"],
    ],
  },
  {
    title: "Without a mouse",
    rows: [
      ["Arrow keys", "Move the cursor (Shift: faster)"],
      ["Space", "This belongs to the object"],
      ["Shift + Space", "This does not belong to it"],
      ["Page up, Page down", "Volume: next or previous slice"],
      ["V", "Volume: next plane"],
    ],
  },
  {
    title: "Images",
    rows: [
      ["S", "Save as done, go to the next"],
      ["D", "Save as in doubt, go to the next"],
      ["N, P", "Next, previous image"],
      ["?", "This list"],
    ],
  },
];
