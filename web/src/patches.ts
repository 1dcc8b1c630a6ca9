import type { Patch } from "./types.ts";

/** One label value per voxel, the first axis varying fastest. */
export interface LabelMap {
  size: number[];
  data: Uint8Array;
}

export function emptyMap(size: number[]): LabelMap {
  return { size: [...size], data: new Uint8Array(size.reduce((n, s) => n * s, 1)) };
}

export async function inflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  // "deflate" is the zlib container here; the raw stream has its own name.
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

export interface DecodedPatch {
  start: [number, number, number];
  size: [number, number, number];
  data: Uint8Array;
}

/** Decodes a patch, or gives null where nothing changed. Pictures get a third axis of length one. */
export async function decodePatch(patch: Patch): Promise<DecodedPatch | null> {
  const size = [patch.size[0] ?? 1, patch.size[1] ?? 1, patch.size[2] ?? 1] as [number, number, number];
  const start = [patch.start[0] ?? 0, patch.start[1] ?? 0, patch.start[2] ?? 0] as [number, number, number];
  const count = size[0] * size[1] * size[2];
  if (patch.size.length === 0 || count === 0) return null;
  const data = await inflate(fromBase64(patch.data));
  if (data.length !== count) throw new Error(`The label patch has ${data.length} values for ${count} voxels.`);
  return { start, size, data };
}

export function isWhole(map: LabelMap, patch: DecodedPatch): boolean {
  return map.size.every((n, axis) => patch.start[axis] === 0 && patch.size[axis] === n);
}

export function applyPatch(map: LabelMap, patch: DecodedPatch): void {
  const [nx, ny = 1, nz = 1] = map.size as [number, number?, number?];
  const [x0, y0, z0] = patch.start;
  const [w, h, d] = patch.size;
  if (x0 < 0 || y0 < 0 || z0 < 0 || x0 + w > nx || y0 + h > ny || z0 + d > nz) {
    throw new Error("The label patch lies outside the image.");
  }
  for (let z = 0; z < d; z++) {
    for (let y = 0; y < h; y++) {
      const from = (z * h + y) * w;
      map.data.set(patch.data.subarray(from, from + w), ((z0 + z) * ny + y0 + y) * nx + x0);
    }
  }
}

export interface Slice {
  width: number;
  height: number;
  data: Uint8Array;
}

/** The labels of one slice perpendicular to `axis`; the lower of the two remaining axes runs along the rows. */
export function sliceOf(map: LabelMap, axis: 0 | 1 | 2, index: number): Slice {
  const [nx = 1, ny = 1] = map.size;
  if (axis === 2) return { width: nx, height: ny, data: map.data.subarray(index * nx * ny, (index + 1) * nx * ny) };
  const nz = map.size[2] ?? 1;
  const width = axis === 0 ? ny : nx;
  const data = new Uint8Array(width * nz);
  for (let z = 0; z < nz; z++) {
    if (axis === 1) {
      const from = (z * ny + index) * nx;
      data.set(map.data.subarray(from, from + nx), z * nx);
    } else {
      for (let y = 0; y < ny; y++) data[z * ny + y] = map.data[(z * ny + y) * nx + index]!;
    }
  }
  return { width, height: nz, data };
}
