import { describe, expect, it } from "vitest";
import { labelTable, parseColour } from "../src/colour.ts";
import { addLabel, changeLabel, labelByDigit, nextValue } from "../src/labels.ts";

const labels = [
  { value: 1, name: "liver", colour: "#e6194b" },
  { value: 3, name: "label 2", colour: "#3cb44b" },
];

describe("labels", () => {
  it("get the lowest free value, an own name and a colour that is not used", () => {
    const made = addLabel(labels)!;
    expect(made.added.value).toBe(2);
    expect(made.added.name).toBe("label 2 2");
    expect(labels.map((label) => label.colour)).not.toContain(made.added.colour);
    expect(made.labels).toHaveLength(3);
  });

  it("end at 255", () => {
    const all = Array.from({ length: 255 }, (_, i) => ({ value: i + 1, name: `${i}`, colour: "#ffffff" }));
    expect(nextValue(all)).toBeNull();
    expect(addLabel(all)).toBeNull();
  });

  it("are renamed and recoloured", () => {
    expect(changeLabel(labels, 1, { name: "  spleen " })![0]).toEqual({ value: 1, name: "spleen", colour: "#e6194b" });
    expect(changeLabel(labels, 3, { colour: "#000000" })![1]!.colour).toBe("#000000");
  });

  it("stay as they are without a change, a name, or the label", () => {
    expect(changeLabel(labels, 1, { name: "liver" })).toBeNull();
    expect(changeLabel(labels, 1, { name: " " })).toBeNull();
    expect(changeLabel(labels, 9, { name: "x" })).toBeNull();
  });

  it("are found by the digit keys in the order of the list", () => {
    expect(labelByDigit(labels, 2)?.value).toBe(3);
    expect(labelByDigit(labels, 3)).toBeNull();
  });

  it("have a table of colours with nothing for the background", () => {
    const table = labelTable(labels);
    expect([...table.subarray(0, 8)]).toEqual([0, 0, 0, 0, 230, 25, 75, 255]);
    expect([...table.subarray(8, 12)]).toEqual([255, 255, 255, 255]);
  });

  it("read colours in both lengths", () => {
    expect(parseColour("#0f8")).toEqual([0, 255, 136]);
    expect(parseColour("nonsense")).toEqual([255, 255, 255]);
  });
});
