import { describe, expect, it } from "vitest";
import { outlines } from "../src/outline.ts";

function runs(width: number, height: number, data: number[]): Record<number, Set<string>> {
  const found: Record<number, Set<string>> = {};
  for (const [label, flat] of outlines({ width, height, data: Uint8Array.from(data) })) {
    found[label] = new Set();
    for (let i = 0; i < flat.length; i += 4) found[label].add(flat.slice(i, i + 4).join());
  }
  return found;
}

describe("outlines", () => {
  it("surround a single pixel", () => {
    expect(runs(3, 3, [0, 0, 0, 0, 7, 0, 0, 0, 0])[7]).toEqual(new Set(["1,1,2,1", "1,2,2,2", "1,1,1,2", "2,1,2,2"]));
  });

  it("merge the edges of a block", () => {
    expect(runs(2, 2, [1, 1, 1, 1])[1]).toEqual(new Set(["0,0,2,0", "0,2,2,2", "0,0,0,2", "2,0,2,2"]));
  });

  it("draw a border between two labels for both", () => {
    const found = runs(2, 1, [1, 2]);
    expect(found[1]!.has("1,0,1,1")).toBe(true);
    expect(found[2]!.has("1,0,1,1")).toBe(true);
  });

  it("find nothing in an empty slice", () => {
    expect(runs(4, 4, Array(16).fill(0))).toEqual({});
  });

  it("go around a hole", () => {
    const found = runs(3, 3, [1, 1, 1, 1, 0, 1, 1, 1, 1])[1]!;
    for (const edge of ["1,1,2,1", "1,2,2,2", "1,1,1,2", "2,1,2,2", "0,0,3,0"]) expect(found.has(edge)).toBe(true);
  });
});
