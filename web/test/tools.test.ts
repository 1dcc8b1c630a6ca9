import { beforeEach, describe, expect, it } from "vitest";
import type { Pane } from "../src/geometry.ts";
import { markerAt } from "../src/overlay.ts";
import { Tools } from "../src/tools.ts";
import type { Action, Point, Tool } from "../src/types.ts";

const PICTURE: Pane = { plane: null, axes: [0, 1], slice: 0, rect: { left: 0, top: 0, width: 200, height: 200 }, scale: [2, 2], offset: [1, 1] };
const CORONAL: Pane = { plane: "y", axes: [0, 2], slice: 7, rect: { left: 0, top: 0, width: 200, height: 200 }, scale: [-2, -4], offset: [199, 198] };

class Canvas extends EventTarget {
  style = { cursor: "" };
  focus() {}
  setPointerCapture() {}
  getBoundingClientRect() {
    return { left: 0, top: 0 };
  }
}

let canvas: Canvas;
let sent: Action[];
let moves: unknown[];
let state: { pane: Pane; size: number[]; points: Point[]; tool: Tool; ready: boolean };
let tools: Tools;

beforeEach(() => {
  canvas = new Canvas();
  sent = [];
  moves = [];
  state = { pane: PICTURE, size: [100, 100], points: [], tool: "click", ready: true };
  const viewer = {
    panes: () => [state.pane], render: () => null,
    pan: (_: unknown, dx: number, dy: number) => moves.push(["pan", dx, dy]),
    visit: (voxel: number[]) => moves.push(["visit", ...voxel]),
    scroll: (_: unknown, step: number) => moves.push(["scroll", step]),
    zoom: (x: number, y: number, factor: number) => moves.push(["zoom", x, y, factor > 1]),
  };
  tools = new Tools(canvas as unknown as HTMLCanvasElement, {
    viewer: () => viewer as never, size: () => state.size, points: () => state.points, tool: () => state.tool,
    radius: () => 3, ready: () => state.ready, act: (action) => void sent.push(action), redraw: () => {},
  });
});

function fire(type: string, x: number, y: number, more: Record<string, unknown> = {}) {
  canvas.dispatchEvent(Object.assign(new Event(type, { cancelable: true }), { clientX: x, clientY: y, button: 0, pointerId: 1, altKey: false, shiftKey: false, ctrlKey: false, ...more }));
}

function drag(from: [number, number], to: [number, number], more: Record<string, unknown> = {}) {
  fire("pointerdown", ...from, more);
  fire("pointermove", (from[0] + to[0]) / 2, (from[1] + to[1]) / 2, more);
  fire("pointermove", ...to, more);
  fire("pointerup", ...to, more);
}

describe("pictures", () => {
  it("a click adds a point", () => {
    drag([21, 41], [21, 41]);
    expect(sent).toEqual([{ do: "click", at: [10, 20], positive: true }]);
  });

  it("an unsteady click is still a click, where it began", () => {
    drag([21, 41], [24, 43]);
    expect(sent).toEqual([{ do: "click", at: [10, 20], positive: true }]);
  });

  it.each([[{ button: 2 }], [{ altKey: true }]])("a click with %j takes away", (more) => {
    drag([21, 41], [21, 41], more);
    expect(sent).toEqual([{ do: "click", at: [10, 20], positive: false }]);
  });

  it("a drag draws a box in any direction", () => {
    drag([101, 81], [21, 41]);
    expect(sent).toEqual([{ do: "box", low: [10, 20], high: [50, 40] }]);
  });

  it("a drag can be given up", () => {
    fire("pointerdown", 21, 41);
    fire("pointermove", 101, 81);
    expect(tools.cancel()).toBe(true);
    fire("pointerup", 101, 81);
    expect(sent).toEqual([]);
    expect(tools.cancel()).toBe(false);
  });

  it("a marker is moved, or deleted with the right button", () => {
    state.points = [{ at: [10, 20], positive: true }];
    drag([22, 42], [61, 61]);
    drag([22, 42], [22, 42], { button: 2 });
    expect(sent).toEqual([{ do: "move", index: 0, to: [30, 30] }, { do: "remove", index: 0 }]);
  });

  it("a brush stroke keeps its ends, and the right button erases", () => {
    state.tool = "brush";
    drag([21, 41], [61, 41]);
    drag([21, 41], [61, 41], { button: 2 });
    expect(sent[0]).toMatchObject({ do: "brush", radius: 3, erase: false });
    expect((sent[0] as { path: number[][] }).path.at(0)).toEqual([10, 20]);
    expect((sent[0] as { path: number[][] }).path.at(-1)).toEqual([30, 20]);
    expect(sent[1]).toMatchObject({ erase: true });
  });

  it("the middle button and the look tool only move the picture", () => {
    drag([10, 10], [30, 20], { button: 1 });
    state.tool = "look";
    drag([10, 10], [30, 20]);
    expect(sent).toEqual([]);
    expect(moves.filter(([kind]: any) => kind === "pan")).toHaveLength(4);
  });

  it("the wheel zooms", () => {
    fire("wheel", 50, 60, { deltaY: -100, deltaMode: 0 });
    expect(moves).toEqual([["zoom", 50, 60, true]]);
  });

  it("a click beside the picture, or while nothing can be changed, does nothing", () => {
    state.size = [50, 50];
    drag([150, 150], [150, 150]);
    state.ready = false;
    drag([21, 41], [21, 41]);
    expect(sent).toEqual([]);
  });
});

describe("volumes", () => {
  beforeEach(() => {
    state.pane = CORONAL;
    state.size = [100, 20, 50];
  });

  it("a click tells its plane and slice", () => {
    drag([179, 158], [179, 158]);
    expect(sent).toEqual([{ do: "click", at: [10, 7, 10], positive: true, plane: "y" }]);
  });

  it("a box is flat along its plane", () => {
    drag([179, 158], [139, 118]);
    expect(sent).toEqual([{ do: "box", low: [10, 7, 10], high: [30, 7, 20], plane: "y" }]);
  });

  it("the wheel scrolls, with Ctrl it zooms", () => {
    fire("wheel", 50, 60, { deltaY: 100, deltaMode: 0 });
    fire("wheel", 50, 60, { deltaY: 3, deltaMode: 1, ctrlKey: true });
    expect(moves).toEqual([["scroll", -1], ["zoom", 50, 60, false]]);
  });

  it("Shift and click brings the other planes", () => {
    drag([179, 158], [179, 158], { shiftKey: true });
    expect(sent).toEqual([]);
    expect(moves[0]).toEqual(["visit", 10, 7, 10]);
  });

  it("a marker is only found on its slice", () => {
    expect(markerAt(CORONAL, [{ at: [10, 7, 10], positive: true }], 180, 157)).toBe(0);
    expect(markerAt(CORONAL, [{ at: [10, 8, 10], positive: true }], 180, 157)).toBeNull();
  });
});

describe("the keyboard", () => {
  const key = (type: string, name: string, more: Record<string, unknown> = {}) => {
    canvas.dispatchEvent(Object.assign(new Event(type, { cancelable: true }), { key: name, shiftKey: false, ctrlKey: false, metaKey: false, altKey: false, repeat: false, ...more }));
  };

  it("moves a cursor and marks where it is", () => {
    key("keydown", "ArrowRight");
    key("keydown", "ArrowRight");
    key("keydown", "ArrowDown", { shiftKey: true });
    key("keydown", " ");
    key("keyup", " ");
    key("keydown", " ", { shiftKey: true });
    key("keyup", " ", { shiftKey: true });
    expect(sent).toEqual([
      { do: "click", at: [50.5, 59.5], positive: true },
      { do: "click", at: [50.5, 59.5], positive: false },
    ]);
  });

  it("marks nothing with the space that a drag used", () => {
    key("keydown", "ArrowRight");
    key("keydown", " ");
    drag([10, 10], [20, 20]);
    key("keyup", " ");
    expect(sent).toEqual([]);
  });
});
