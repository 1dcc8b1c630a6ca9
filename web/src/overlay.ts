import { type Pane, planeAxis, toScreen } from "./geometry.ts";
import { outlines } from "./outline.ts";
import { type LabelMap, sliceOf } from "./patches.ts";
import type { Point, Voxel } from "./types.ts";

/** Input that the server has not answered yet. */
export type Pending =
  | { kind: "point"; at: Voxel; positive: boolean }
  | { kind: "box"; low: Voxel; high: Voxel }
  | { kind: "stroke"; path: Voxel[]; radius: number; erase: boolean }
  | { kind: "path"; path: Voxel[]; positive: boolean };

export interface Scene {
  panes: Pane[];
  map: LabelMap | null;
  /** Grows with each change of the map. */
  version: number;
  points: Point[];
  box: [Voxel, Voxel] | null;
  pending: Pending[];
  draft: Pending | null;
  /** A point that is being dragged, and where to. */
  moved: { index: number; to: Voxel } | null;
  colours: Map<number, string>;
  active: string;
  outline: boolean;
  cursor: { pane: Pane; at: Voxel; radius: number | null; keyboard: boolean } | null;
}

export const MARKER = 8;

/** Whether a voxel lies on the slice that the pane shows. */
export function onSlice(pane: Pane, voxel: Voxel): boolean {
  return pane.plane === null || Math.round(voxel[planeAxis(pane.plane)]!) === pane.slice;
}

/** The index of the marker at a screen position, the nearest one first. */
export function markerAt(pane: Pane, points: readonly Point[], x: number, y: number): number | null {
  let best: number | null = null;
  let nearest = MARKER + 3;
  points.forEach((point, index) => {
    if (!onSlice(pane, point.at)) return;
    const [px, py] = toScreen(pane, point.at);
    const distance = Math.hypot(px - x, py - y);
    if (distance < nearest) [nearest, best] = [distance, index];
  });
  return best;
}

export class Overlay {
  private cache = new Map<string, { version: number; map: LabelMap; slice: number; paths: [number, Path2D][] }>();

  constructor(private readonly canvas: HTMLCanvasElement) {}

  draw(scene: Scene): void {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d")!;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    for (const pane of scene.panes) {
      context.save();
      context.beginPath();
      context.rect(pane.rect.left, pane.rect.top, pane.rect.width, pane.rect.height);
      context.clip();
      if (scene.map && scene.outline) this.outline(context, pane, scene, scene.map);
      if (scene.box) this.box(context, pane, scene.box[0], scene.box[1], scene.active);
      for (const pending of scene.pending) this.pending(context, pane, pending, scene.active, true);
      if (scene.draft) this.pending(context, pane, scene.draft, scene.active, false);
      scene.points.forEach((point, index) => {
        const at = scene.moved?.index === index ? scene.moved.to : point.at;
        if (onSlice(pane, at)) this.marker(context, toScreen(pane, at), point.positive, false);
      });
      if (scene.cursor && scene.cursor.pane.plane === pane.plane) this.cursor(context, pane, scene.cursor);
      context.restore();
    }
  }

  private outline(context: CanvasRenderingContext2D, pane: Pane, scene: Scene, map: LabelMap): void {
    const key = pane.plane ?? "";
    let known = this.cache.get(key);
    if (!known || known.version !== scene.version || known.map !== map || known.slice !== pane.slice) {
      const axis = pane.plane === null ? 2 : planeAxis(pane.plane);
      const paths: [number, Path2D][] = [];
      for (const [label, runs] of outlines(sliceOf(map, axis, pane.slice))) {
        const path = new Path2D();
        for (let i = 0; i < runs.length; i += 4) {
          path.moveTo(runs[i]!, runs[i + 1]!);
          path.lineTo(runs[i + 2]!, runs[i + 3]!);
        }
        paths.push([label, path]);
      }
      known = { version: scene.version, map, slice: pane.slice, paths };
      this.cache.set(key, known);
    }
    // Edge k lies half a step before sample k.
    const place = new DOMMatrix([
      pane.scale[0], 0, 0, pane.scale[1],
      pane.offset[0] - pane.scale[0] / 2, pane.offset[1] - pane.scale[1] / 2,
    ]);
    context.lineCap = "square";
    for (const [label, path] of known.paths) {
      const placed = new Path2D();
      placed.addPath(path, place);
      context.lineWidth = 1.5;
      context.strokeStyle = scene.colours.get(label) ?? "#ffffff";
      context.stroke(placed);
    }
  }

  private marker(context: CanvasRenderingContext2D, [x, y]: [number, number], positive: boolean, pending: boolean): void {
    context.save();
    context.globalAlpha = pending ? 0.6 : 1;
    context.beginPath();
    context.arc(x, y, MARKER, 0, 2 * Math.PI);
    context.fillStyle = positive ? "#0b6e3a" : "#a3122a";
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = "#ffffff";
    if (pending) context.setLineDash([3, 3]);
    context.stroke();
    context.setLineDash([]);
    context.lineWidth = 2;
    context.lineCap = "butt";
    context.beginPath();
    context.moveTo(x - 4.5, y);
    context.lineTo(x + 4.5, y);
    if (positive) {
      context.moveTo(x, y - 4.5);
      context.lineTo(x, y + 4.5);
    }
    context.stroke();
    context.restore();
  }

  private box(context: CanvasRenderingContext2D, pane: Pane, low: Voxel, high: Voxel, colour: string): void {
    if (pane.plane !== null) {
      const axis = planeAxis(pane.plane);
      if (low[axis] !== high[axis] || !onSlice(pane, low)) return;
    }
    const [x0, y0] = toScreen(pane, low);
    const [x1, y1] = toScreen(pane, high);
    context.save();
    context.lineWidth = 3;
    context.strokeStyle = "rgba(0,0,0,0.7)";
    context.strokeRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
    context.lineWidth = 1.5;
    context.setLineDash([6, 4]);
    context.strokeStyle = colour;
    context.strokeRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
    context.restore();
  }

  private pending(context: CanvasRenderingContext2D, pane: Pane, item: Pending, active: string, sent: boolean): void {
    if (item.kind === "point") {
      if (onSlice(pane, item.at)) this.marker(context, toScreen(pane, item.at), item.positive, true);
      return;
    }
    if (item.kind === "box") return this.box(context, pane, item.low, item.high, sent ? active : "#ffffff");
    const first = item.path[0];
    if (!first || (pane.plane !== null && item.path.some((voxel) => !onSlice(pane, voxel)))) return;
    context.save();
    context.lineCap = context.lineJoin = "round";
    // Stroking in voxel space makes the brush as wide as the server will paint it, also where voxels are not square.
    const inVoxels = item.kind === "stroke";
    const points = item.path.map((voxel) => (inVoxels ? pane.axes.map((axis) => voxel[axis]!) : toScreen(pane, voxel)));
    const path = new Path2D();
    points.forEach(([x, y], i) => (i ? path.lineTo(x!, y!) : path.moveTo(x!, y!)));
    if (points.length === 1) path.lineTo(points[0]![0]! + 1e-3, points[0]![1]!);
    if (item.kind === "stroke") {
      context.transform(pane.scale[0], 0, 0, pane.scale[1], pane.offset[0], pane.offset[1]);
      context.lineWidth = item.radius * 2;
      context.globalAlpha = 0.5;
      context.strokeStyle = item.erase ? "#101418" : active;
      context.stroke(path);
    } else {
      context.lineWidth = 5;
      context.strokeStyle = "rgba(0,0,0,0.6)";
      context.stroke(path);
      context.lineWidth = 3;
      context.strokeStyle = item.positive ? "#4ade80" : "#ff6b81";
      if (!item.positive) context.setLineDash([2, 6]);
      context.stroke(path);
    }
    context.restore();
  }

  private cursor(context: CanvasRenderingContext2D, pane: Pane, cursor: NonNullable<Scene["cursor"]>): void {
    const [x, y] = toScreen(pane, cursor.at);
    context.save();
    if (cursor.radius !== null) {
      for (const [width, colour] of [[3, "rgba(0,0,0,0.6)"], [1.25, "#ffffff"]] as const) {
        context.beginPath();
        context.ellipse(x, y, Math.abs(pane.scale[0]) * cursor.radius, Math.abs(pane.scale[1]) * cursor.radius, 0, 0, 2 * Math.PI);
        context.lineWidth = width;
        context.strokeStyle = colour;
        context.stroke();
      }
    }
    if (cursor.keyboard) {
      for (const [width, colour] of [[4, "rgba(0,0,0,0.7)"], [1.5, "#ffe119"]] as const) {
        context.beginPath();
        for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) {
          context.moveTo(x + dx * 4, y + dy * 4);
          context.lineTo(x + dx * 14, y + dy * 14);
        }
        context.lineWidth = width;
        context.strokeStyle = colour;
        context.stroke();
      }
    }
    context.restore();
  }
}
