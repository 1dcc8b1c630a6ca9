import type { Slice } from "./patches.ts";

/**
 * The borders of every label in a slice, as runs along the pixel edges: [x0, y0, x1, y1, ...] in edge coordinates,
 * where edge k lies between samples k-1 and k. Neighbouring edges of one run are merged, which keeps long borders cheap.
 */
export function outlines(slice: Slice): Map<number, number[]> {
  const { width, height, data } = slice;
  const found = new Map<number, number[]>();
  const add = (label: number, x0: number, y0: number, x1: number, y1: number): void => {
    let runs = found.get(label);
    if (!runs) found.set(label, (runs = []));
    runs.push(x0, y0, x1, y1);
  };
  const at = (x: number, y: number): number => (x < 0 || y < 0 || x >= width || y >= height ? 0 : data[y * width + x]!);

  for (let y = 0; y <= height; y++) {
    for (const side of [0, 1]) {
      let start = 0;
      let running = 0;
      for (let x = 0; x <= width; x++) {
        const inner = x < width ? at(x, y - side) : 0;
        const label = inner !== 0 && inner !== at(x, y - 1 + side) ? inner : 0;
        if (label !== running) {
          if (running) add(running, start, y, x, y);
          running = label;
          start = x;
        }
      }
    }
  }
  for (let x = 0; x <= width; x++) {
    for (const side of [0, 1]) {
      let start = 0;
      let running = 0;
      for (let y = 0; y <= height; y++) {
        const inner = y < height ? at(x - side, y) : 0;
        const label = inner !== 0 && inner !== at(x - 1 + side, y) ? inner : 0;
        if (label !== running) {
          if (running) add(running, x, start, x, y);
          running = label;
          start = y;
        }
      }
    }
  }
  return found;
}
