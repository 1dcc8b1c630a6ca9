import type { Pane, Rect } from "./geometry.ts";
import type { DecodedPatch, LabelMap } from "./patches.ts";
import type { View, Voxel } from "./types.ts";

export interface Look {
  /** Red, green, blue and opacity of the 256 label values. */
  table: Uint8ClampedArray;
  /** Opacity of the tint, 0 where the mask is hidden. */
  opacity: number;
  smooth: boolean;
}

/** "auto" is "all", but without the 3-D render where no GPU draws it. */
export type Layout = "auto" | "all" | "flat" | "z" | "y" | "x" | "3d";

/** What pictures and volumes have in common for the tools and the drawn prompts. */
export interface Viewer {
  load(view: View, map: LabelMap, signal: AbortSignal): Promise<void>;
  unload(): void;
  /** Null stands for the whole map. */
  repaint(patch: DecodedPatch | null): void;
  look(look: Look): void;
  levels(low: number, high: number): Promise<void>;
  /** The widest range that the level sliders should offer. */
  range(): [number, number];
  panes(): Pane[];
  /** The area of the 3-D render, where a drag turns the object. */
  render(): Rect | null;
  resize(): void;
  fit(): void;
  zoom(x: number, y: number, factor: number): void;
  pan(pane: Pane | null, dx: number, dy: number): void;
  turn(dx: number, dy: number): void;
  /** Brings the other planes to a position. */
  visit(voxel: Voxel): void;
  scroll(pane: Pane | null, step: number): void;
}
