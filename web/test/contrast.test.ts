import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { contrast } from "../src/colour.ts";

const css = readFileSync(new URL("../src/page.css", import.meta.url), "utf8");
const colours = new Map([...css.matchAll(/--([a-z-]+):\s*(#[0-9a-f]{3,6});/gi)].map(([, name, colour]) => [name!, colour!]));
const colour = (name: string): string => {
  const found = name.startsWith("#") ? name : colours.get(name);
  if (!found) throw new Error(`page.css has no colour ${name}`);
  return found;
};

/** The ground of what is pressed or selected. */
const PICKED = "#12384f";

describe("contrast", () => {
  it("computes the known extremes", () => {
    expect(contrast("#000", "#fff")).toBeCloseTo(21);
    expect(contrast("#777777", "#777777")).toBeCloseTo(1);
    expect(contrast("#767676", "#ffffff")).toBeCloseTo(4.54, 2);
  });

  it("uses the ground that the style sheet uses", () => expect(css).toContain(`background: ${PICKED}`));

  const text: [string, string[]][] = [
    ["text", ["ground", "panel", "raised", "hover", PICKED, "bad-ground"]],
    ["faint", ["ground", "panel", "raised", "hover", PICKED]],
    ["on-accent", ["accent", "#8ad5ff"]],
    ["done", ["panel", "raised", PICKED]],
    ["doubt", ["panel", "raised", PICKED]],
    ["accent", ["panel", "raised", PICKED]],
    ["bad", ["bad-ground"]],
  ];
  it.each(text.flatMap(([front, backs]) => backs.map((back) => [front, back])))("text %s on %s is at least 4.5", (front, back) => {
    expect(contrast(colour(front!), colour(back!))).toBeGreaterThanOrEqual(4.5);
  });

  it.each([["accent", "ground"], ["accent", "panel"], ["edge", "panel"], ["edge", "raised"], ["accent", "raised"]])("control %s on %s is at least 3", (front, back) => {
    expect(contrast(colour(front), colour(back))).toBeGreaterThanOrEqual(3);
  });

  it("markers keep white signs readable", () => {
    for (const ground of ["#0b6e3a", "#a3122a"]) expect(contrast("#ffffff", ground)).toBeGreaterThanOrEqual(4.5);
  });
});
