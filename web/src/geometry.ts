import type { Plane, Voxel } from "./types.ts";

export interface Rect {
  left: number;
  top: number;
  width: number;
  height: number;
}

/**
 * One plane of the image on the screen. Each in-plane axis maps to one screen axis, so a scale and an offset per
 * screen axis say everything: screen = offset + scale * voxel, with negative scales where an axis points left or up.
 */
export interface Pane {
  /** The axis that the plane is perpendicular to; null for a picture. */
  plane: Plane | null;
  /** The image axes that run along the screen's x and y. */
  axes: [number, number];
  /** The index along `plane`; unused for a picture. */
  slice: number;
  rect: Rect;
  scale: [number, number];
  offset: [number, number];
}

export const PLANES: readonly Plane[] = ["x", "y", "z"];

export function planeAxis(plane: Plane): 0 | 1 | 2 {
  return PLANES.indexOf(plane) as 0 | 1 | 2;
}

export function inRect(rect: Rect, x: number, y: number): boolean {
  return x >= rect.left && y >= rect.top && x < rect.left + rect.width && y < rect.top + rect.height;
}

export function paneAt(panes: readonly Pane[], x: number, y: number): Pane | null {
  return panes.find((pane) => inRect(pane.rect, x, y)) ?? null;
}

export function toScreen(pane: Pane, voxel: Voxel): [number, number] {
  return [
    pane.offset[0] + pane.scale[0] * voxel[pane.axes[0]]!,
    pane.offset[1] + pane.scale[1] * voxel[pane.axes[1]]!,
  ];
}

export function toVoxel(pane: Pane, x: number, y: number): Voxel {
  const voxel: Voxel = pane.plane === null ? [0, 0] : [0, 0, 0];
  voxel[pane.axes[0]] = (x - pane.offset[0]) / pane.scale[0];
  voxel[pane.axes[1]] = (y - pane.offset[1]) / pane.scale[1];
  if (pane.plane !== null) voxel[planeAxis(pane.plane)] = pane.slice;
  return voxel;
}

/** Whether the position is on the image; the outer samples reach half a step beyond their centres. */
export function inside(voxel: Voxel, size: readonly number[]): boolean {
  return voxel.every((v, axis) => v >= -0.5 && v < size[axis]! - 0.5);
}

export function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

export function clampVoxel(voxel: Voxel, size: readonly number[]): Voxel {
  return voxel.map((v, axis) => clamp(v, 0, size[axis]! - 1));
}

/** Two decimals are far below what a hand can aim at, and keep the requests short. */
export function tidy(voxel: Voxel): Voxel {
  return voxel.map((v) => {
    const rounded = Math.round(v * 100) / 100;
    return rounded === 0 ? 0 : rounded;
  });
}

/** Corners given in any order become low and high corners within the image. */
export function normaliseBox(a: Voxel, b: Voxel, size: readonly number[]): { low: Voxel; high: Voxel } {
  const one = clampVoxel(a, size);
  const two = clampVoxel(b, size);
  return {
    low: tidy(one.map((v, axis) => Math.min(v, two[axis]!))),
    high: tidy(one.map((v, axis) => Math.max(v, two[axis]!))),
  };
}

/** How a picture lies in the viewer: CSS pixels per image pixel, and where the centre of pixel (0, 0) is. */
export interface Placement {
  scale: number;
  left: number;
  top: number;
}

export function fit(size: readonly number[], width: number, height: number, margin = 12): Placement {
  const [nx = 1, ny = 1] = size;
  const scale = Math.max(1e-3, Math.min((width - 2 * margin) / nx, (height - 2 * margin) / ny));
  return { scale, left: (width - scale * nx) / 2 + scale / 2, top: (height - scale * ny) / 2 + scale / 2 };
}

/** Zooms about a screen position, which keeps showing the same image position. */
export function zoomAt(placement: Placement, x: number, y: number, factor: number, low = 0.02, high = 80): Placement {
  const scale = clamp(placement.scale * factor, low, high);
  const ratio = scale / placement.scale;
  return { scale, left: x - (x - placement.left) * ratio, top: y - (y - placement.top) * ratio };
}

export function picturePane(placement: Placement, width: number, height: number): Pane {
  return {
    plane: null,
    axes: [0, 1],
    slice: 0,
    rect: { left: 0, top: 0, width, height },
    scale: [placement.scale, placement.scale],
    offset: [placement.left, placement.top],
  };
}

/** Drops positions closer than `step` to the one kept before, always keeping the first and the last. */
export function thin(path: readonly Voxel[], step: number): Voxel[] {
  const kept: Voxel[] = [];
  path.forEach((voxel, i) => {
    const last = kept[kept.length - 1];
    const far = !last || Math.hypot(...voxel.map((v, axis) => v - last[axis]!)) >= step;
    if (far || i === path.length - 1) kept.push(voxel);
  });
  return kept;
}
