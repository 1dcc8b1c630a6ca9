import { describe, expect, it } from "vitest";
import { commandOf, SHORTCUTS } from "../src/keys.ts";

const press = (key: string, held: Partial<{ ctrl: boolean; shift: boolean; alt: boolean }> = {}) =>
  commandOf({ key, ctrl: false, shift: false, alt: false, ...held });

describe("keys", () => {
  it.each([
    ["Enter", { do: "accept" }],
    ["Escape", { do: "clear" }],
    ["Backspace", { do: "clear" }],
    ["s", { do: "save", state: "done" }],
    ["S", { do: "save", state: "done" }],
    ["d", { do: "save", state: "doubt" }],
    ["n", { do: "go", step: 1 }],
    ["p", { do: "go", step: -1 }],
    ["b", { do: "tool", tool: "brush" }],
    ["e", { do: "tool", tool: "eraser" }],
    ["c", { do: "tool", tool: "click" }],
    ["f", { do: "follow" }],
    ["a", { do: "suggest" }],
    ["h", { do: "mask" }],
    ["[", { do: "brush", step: -1 }],
    ["]", { do: "brush", step: 1 }],
    ["+", { do: "zoom", step: 1 }],
    ["-", { do: "zoom", step: -1 }],
    ["?", { do: "shortcuts" }],
    ["1", { do: "label", digit: 1 }],
    ["9", { do: "label", digit: 9 }],
  ])("%s", (key, command) => expect(press(key)).toEqual(command));

  it("undo and redo", () => {
    expect(press("z", { ctrl: true })).toEqual({ do: "undo" });
    expect(press("Z", { ctrl: true, shift: true })).toEqual({ do: "redo" });
    expect(press("y", { ctrl: true })).toEqual({ do: "redo" });
  });

  it("leave the browser its own", () => {
    for (const key of ["s", "d", "n", "p", "f", "c", "a", "1", "+", "Enter"]) expect(press(key, { ctrl: true })).toBeNull();
    expect(press("d", { alt: true })).toBeNull();
    expect(press("Tab")).toBeNull();
    expect(press("z")).toBeNull();
  });

  it("are listed without repeats", () => {
    const rows = SHORTCUTS.flatMap(({ rows }) => rows.map(([keys]) => keys));
    expect(new Set(rows).size).toBe(rows.length);
  });
});
