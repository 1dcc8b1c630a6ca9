import { describe, expect, it } from "vitest";
import { counts, filterImages, neighbour, sortImages } from "../src/order.ts";
import type { ImageEntry } from "../src/types.ts";

const image = (name: string, more: Partial<ImageEntry> = {}): ImageEntry => ({ name, ndim: 2, state: "open", by: null, confidence: null, flags: [], chosen: null, ...more });
const order = (images: ImageEntry[]) => images.map(({ name }) => name);

describe("the list of images", () => {
  it("sorts names as people count", () => {
    expect(order(sortImages([image("case_10"), image("case_9"), image("Case_1")], "name"))).toEqual(["Case_1", "case_9", "case_10"]);
  });

  it("puts the most doubtful first and what is done last", () => {
    const images = [
      image("done", { state: "done", confidence: 0.1 }),
      image("open"),
      image("sure", { state: "doubt", confidence: 0.9 }),
      image("unknown", { state: "doubt" }),
      image("unsure", { state: "doubt", confidence: 0.2 }),
      image("flagged", { state: "doubt", confidence: 0.95, flags: ["touches the border"] }),
    ];
    expect(order(sortImages(images, "doubt"))).toEqual(["flagged", "unsure", "sure", "unknown", "open", "done"]);
  });

  it("puts chosen images first, by rank", () => {
    const images = [image("a"), image("b", { chosen: 2 }), image("c", { chosen: 1 })];
    expect(order(sortImages(images, "chosen"))).toEqual(["c", "b", "a"]);
  });

  it("does not change what it is given", () => {
    const images = [image("b"), image("a")];
    sortImages(images, "name");
    expect(order(images)).toEqual(["b", "a"]);
  });

  it("finds images by all words", () => {
    const images = [image("liver_01_T1"), image("liver_02_T2"), image("spleen_T1")];
    expect(order(filterImages(images, " t1 LIVER "))).toEqual(["liver_01_T1"]);
    expect(filterImages(images, "")).toHaveLength(3);
  });

  it("goes to neighbours and stops at the ends", () => {
    const images = [image("a"), image("b")];
    expect(neighbour(images, "a", 1)).toBe("b");
    expect(neighbour(images, "b", 1)).toBeNull();
    expect(neighbour(images, "a", -1)).toBeNull();
    expect(neighbour(images, "gone", 1)).toBe("a");
    expect(neighbour([], null, 1)).toBeNull();
  });

  it("counts the states", () => {
    expect(counts([image("a", { state: "done" }), image("b"), image("c", { state: "doubt" }), image("d")])).toEqual({ open: 2, doubt: 1, done: 1 });
  });
});
