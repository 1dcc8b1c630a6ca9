/** The shapes of the server's HTTP interface. Coordinates are display voxel indices; whole numbers are sample centres. */

export type Voxel = number[];
export type Plane = "x" | "y" | "z";
export type State = "open" | "doubt" | "done";

export interface Label {
  value: number;
  name: string;
  colour: string;
}

export interface ImageEntry {
  name: string;
  ndim: 2 | 3 | null;
  state: State;
  by: "hand" | "model" | null;
  confidence: number | null;
  flags: string[];
  chosen: number | null;
}

export interface Method {
  name: string;
  accepts: string[];
  automatic: boolean;
  classes: string[];
}

export interface Job {
  id: string;
  kind: string;
  state: "running" | "done" | "failed" | "cancelled";
  done: number | null;
  of: number | null;
  text: string;
  seconds: number;
}

export interface Project {
  title: string;
  version: string;
  labels: Label[];
  images: ImageEntry[];
  method: Method;
  learnable: string[];
  jobs: Job[];
}

export interface Patch {
  start: number[];
  size: number[];
  data: string;
}

export interface Point {
  at: Voxel;
  positive: boolean;
}

export interface View {
  image: string;
  ndim: 2 | 3;
  size: number[];
  spacing: number[];
  unit: "mm" | "px";
  levels: [number, number];
  range: [number, number];
  state: State;
  label: number;
  revision: number;
  prompts: { points: Point[]; box: [Voxel, Voxel] | null };
  object: boolean;
  undo: boolean;
  redo: boolean;
  quality: number | null;
  labels: Patch;
  milliseconds: number;
}

interface InPlane {
  plane?: Plane;
}

export type Action =
  | ({ do: "click"; at: Voxel; positive: boolean } & InPlane)
  | ({ do: "box"; low: Voxel; high: Voxel } & InPlane)
  | ({ do: "scribble"; path: Voxel[]; positive: boolean } & InPlane)
  | ({ do: "brush"; path: Voxel[]; radius: number; erase: boolean } & InPlane)
  | { do: "move"; index: number; to: Voxel }
  | { do: "remove"; index: number }
  | { do: "label"; value: number }
  | { do: "accept" | "clear" | "empty" | "undo" | "redo" | "suggest" }
  | ({ do: "follow" } & InPlane);

export interface Saved {
  saved: string;
  next: string | null;
}

export type Tool = "click" | "scribble" | "brush" | "eraser" | "look";
