import { deflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { applyPatch, decodePatch, emptyMap, fromBase64, isWhole, sliceOf } from "../src/patches.ts";

function patch(start: number[], size: number[], values: number[]) {
  return { start, size, data: deflateSync(Uint8Array.from(values)).toString("base64") };
}

describe("label patches", () => {
  it("decodes base64 and zlib", async () => {
    const decoded = await decodePatch(patch([1, 2], [2, 3], [1, 2, 3, 4, 5, 6]));
    expect(decoded?.start).toEqual([1, 2, 0]);
    expect(decoded?.size).toEqual([2, 3, 1]);
    expect([...decoded!.data]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("keeps bytes above 127", () => {
    expect([...fromBase64(Buffer.from([0, 127, 128, 255]).toString("base64"))]).toEqual([0, 127, 128, 255]);
  });

  it("decodes large maps", async () => {
    const values = Array.from({ length: 300 * 200 }, (_, i) => i % 251);
    const decoded = await decodePatch(patch([0, 0], [300, 200], values));
    expect(decoded!.data.length).toBe(60000);
    expect(decoded!.data[59999]).toBe(59999 % 251);
  });

  it("takes nothing from an empty patch, with or without data", async () => {
    expect(await decodePatch({ start: [0, 0], size: [0, 0], data: "" })).toBeNull();
    expect(await decodePatch({ start: [0, 0, 0], size: [0, 4, 2], data: "" })).toBeNull();
  });

  it("refuses data that is not of the size it claims", async () => {
    await expect(decodePatch(patch([0, 0], [2, 2], [1, 2, 3]))).rejects.toThrow("3 values for 4");
  });

  it("writes a picture's block with x fastest", async () => {
    const map = emptyMap([4, 3]);
    applyPatch(map, (await decodePatch(patch([1, 1], [2, 2], [1, 2, 3, 4])))!);
    expect([...map.data]).toEqual([0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0]);
  });

  it("writes a volume's block", async () => {
    const map = emptyMap([3, 2, 2]);
    applyPatch(map, (await decodePatch(patch([1, 0, 1], [2, 2, 1], [1, 2, 3, 4])))!);
    expect([...map.data]).toEqual([0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 3, 4]);
  });

  it("clears what a later patch sets to zero", async () => {
    const map = emptyMap([2, 1]);
    applyPatch(map, (await decodePatch(patch([0, 0], [2, 1], [1, 1])))!);
    applyPatch(map, (await decodePatch(patch([0, 0], [1, 1], [0])))!);
    expect([...map.data]).toEqual([0, 1]);
  });

  it("refuses a block outside the image", async () => {
    const decoded = (await decodePatch(patch([3, 0], [2, 1], [1, 1])))!;
    expect(() => applyPatch(emptyMap([4, 3]), decoded)).toThrow("outside");
  });

  it("knows the whole map", async () => {
    const map = emptyMap([2, 1]);
    expect(isWhole(map, (await decodePatch(patch([0, 0], [2, 1], [1, 1])))!)).toBe(true);
    expect(isWhole(map, (await decodePatch(patch([0, 0], [1, 1], [1])))!)).toBe(false);
  });
});

describe("slices", () => {
  const map = { size: [2, 3, 2], data: Uint8Array.from({ length: 12 }, (_, i) => i) };

  it.each([
    [2 as const, 1, 2, 3, [6, 7, 8, 9, 10, 11]],
    [1 as const, 2, 2, 2, [4, 5, 10, 11]],
    [0 as const, 1, 3, 2, [1, 3, 5, 7, 9, 11]],
  ])("across axis %i", (axis, index, width, height, values) => {
    const slice = sliceOf(map, axis, index);
    expect([slice.width, slice.height]).toEqual([width, height]);
    expect([...slice.data]).toEqual(values);
  });

  it("of a picture is the picture", () => {
    expect([...sliceOf({ size: [2, 2], data: Uint8Array.from([1, 2, 3, 4]) }, 2, 0).data]).toEqual([1, 2, 3, 4]);
  });
});
