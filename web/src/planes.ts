import type { Pane, Rect } from "./geometry.ts";
import type { Plane } from "./types.ts";
import type { Layout } from "./viewer.ts";

/** NiiVue's numbers for the kinds of tile. */
export const AXIAL = 0;
export const CORONAL = 1;
export const SAGITTAL = 2;
export const RENDER = 4;

const KIND: Record<Plane, number> = { z: AXIAL, y: CORONAL, x: SAGITTAL };
const PLANE: Plane[] = ["z", "y", "x"];
const AXES: [number, number][] = [[0, 1], [0, 2], [1, 2]];

export interface Tile {
  axCorSag: number;
  leftTopWidthHeight: number[];
  leftTopMM: ArrayLike<number>;
  fovMM: ArrayLike<number>;
}

export interface Space {
  size: readonly number[];
  /** Where the volume's two outer corners lie in the space that tiles are drawn in. */
  first: ArrayLike<number>;
  last: ArrayLike<number>;
  /** The crosshair's voxel. */
  at: readonly number[];
  ratio: number;
}

export function tileRect(tile: Tile, ratio: number): Rect {
  const [left = 0, top = 0, width = 0, height = 0] = tile.leftTopWidthHeight;
  return {
    left: (width < 0 ? left + width : left) / ratio,
    top: top / ratio,
    width: Math.abs(width) / ratio,
    height: height / ratio,
  };
}

/** The pane of a tile, or null for the 3-D render. */
export function tilePane(tile: Tile, space: Space): Pane | null {
  const plane = PLANE[tile.axCorSag];
  const axes = AXES[tile.axCorSag];
  if (!plane || !axes) return null;
  const rect = tileRect(tile, space.ratio);
  const mirrored = (tile.leftTopWidthHeight[2] ?? 0) < 0;
  // Along one screen axis: fraction of the tile at voxel -0.5 and its growth per voxel.
  const line = (screen: 0 | 1): [number, number] => {
    const axis = axes[screen];
    const step = (space.last[axis]! - space.first[axis]!) / space.size[axis]!;
    return [
      (space.first[axis]! + step / 2 - tile.leftTopMM[screen]!) / tile.fovMM[screen]!,
      step / tile.fovMM[screen]!,
    ];
  };
  const [x0, dx] = line(0);
  const [y0, dy] = line(1);
  return {
    plane,
    axes,
    slice: space.at[2 - tile.axCorSag]!,
    rect,
    scale: [(mirrored ? -dx : dx) * rect.width, -dy * rect.height],
    offset: [rect.left + (mirrored ? 1 - x0 : x0) * rect.width, rect.top + (1 - y0) * rect.height],
  };
}

/** Where the tiles go, as fractions of the viewer. */
export function arrange(layout: Exclude<Layout, "auto">): { sliceType: number; position: [number, number, number, number] }[] {
  const gap = 0.004;
  if (layout === "3d") return [{ sliceType: RENDER, position: [0, 0, 1, 1] }];
  if (layout === "all") {
    const half = 0.5 - gap;
    return [
      { sliceType: AXIAL, position: [0, 0, half, half] },
      { sliceType: CORONAL, position: [0.5, 0, half, half] },
      { sliceType: RENDER, position: [0, 0.5, half, half] },
      { sliceType: SAGITTAL, position: [0.5, 0.5, half, half] },
    ];
  }
  if (layout === "flat") {
    return [
      { sliceType: AXIAL, position: [0, 0, 0.6 - gap, 1] },
      { sliceType: CORONAL, position: [0.6, 0, 0.4, 0.5 - gap] },
      { sliceType: SAGITTAL, position: [0.6, 0.5, 0.4, 0.5] },
    ];
  }
  const others = [...PLANE.filter((plane) => plane !== layout).map((plane) => KIND[plane]), RENDER];
  return [
    { sliceType: KIND[layout], position: [0, 0, 0.72 - gap, 1] },
    ...others.map((sliceType, i) => ({
      sliceType,
      position: [0.72, i / 3, 0.28, 1 / 3 - gap] as [number, number, number, number],
    })),
  ];
}
