import type { Api } from "./api.ts";
import { fit, picturePane, type Pane, type Placement, type Rect, zoomAt } from "./geometry.ts";
import type { DecodedPatch, LabelMap } from "./patches.ts";
import type { View } from "./types.ts";
import type { Look, Viewer } from "./viewer.ts";

export class PictureViewer implements Viewer {
  private view: View | null = null;
  private map: LabelMap | null = null;
  private bitmap: ImageBitmap | null = null;
  private tint = document.createElement("canvas");
  private placement: Placement = { scale: 1, left: 0, top: 0 };
  private style: Look = { table: new Uint8ClampedArray(1024), opacity: 0.4, smooth: false };
  private fitted = true;
  private wanted: AbortController | null = null;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly api: Api,
    private readonly changed: () => void,
  ) {}

  async load(view: View, map: LabelMap, signal: AbortSignal): Promise<void> {
    const blob = await this.api.picture(view.image, view.levels[0], view.levels[1], signal);
    const bitmap = await createImageBitmap(blob);
    if (signal.aborted) return bitmap.close();
    this.unload();
    if (bitmap.width !== view.size[0] || bitmap.height !== view.size[1]) {
      bitmap.close();
      throw new Error("The picture and its mask do not have the same size.");
    }
    this.view = view;
    this.map = map;
    this.bitmap = bitmap;
    this.tint.width = bitmap.width;
    this.tint.height = bitmap.height;
    this.canvas.hidden = false;
    this.repaint(null);
    this.fit();
  }

  unload(): void {
    this.wanted?.abort();
    this.bitmap?.close();
    this.view = this.map = this.bitmap = null;
    this.canvas.hidden = true;
  }

  range(): [number, number] {
    const [low, high] = this.view?.levels ?? [0, 255];
    const [least, most] = this.view?.range ?? [low, high];
    return [Math.min(low, least), Math.max(high, most)];
  }

  async levels(low: number, high: number): Promise<void> {
    if (!this.view) return;
    this.wanted?.abort();
    const wanted = (this.wanted = new AbortController());
    const bitmap = await createImageBitmap(await this.api.picture(this.view.image, low, high, wanted.signal));
    if (wanted.signal.aborted) return bitmap.close();
    this.bitmap?.close();
    this.bitmap = bitmap;
    this.draw();
  }

  look(look: Look): void {
    const recolour = this.style.table !== look.table;
    this.style = look;
    if (recolour) this.repaint(null);
    else this.draw();
  }

  repaint(patch: DecodedPatch | null): void {
    if (!this.map) return;
    const [nx = 1, ny = 1] = this.map.size;
    const [x0, y0, w, h] = patch ? [patch.start[0], patch.start[1], patch.size[0], patch.size[1]] : [0, 0, nx, ny];
    const part = new ImageData(w, h);
    const out = new Uint32Array(part.data.buffer);
    const colours = new Uint32Array(this.style.table.slice().buffer);
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) out[y * w + x] = colours[this.map.data[(y0 + y) * nx + x0 + x]!]!;
    }
    this.tint.getContext("2d")!.putImageData(part, x0, y0);
    this.draw();
  }

  panes(): Pane[] {
    return this.view ? [picturePane(this.placement, this.canvas.clientWidth, this.canvas.clientHeight)] : [];
  }

  render(): Rect | null {
    return null;
  }

  resize(): void {
    if (!this.view) return;
    if (this.fitted) this.fit();
    else this.draw();
  }

  fit(): void {
    if (!this.view) return;
    this.fitted = true;
    this.placement = fit(this.view.size, this.canvas.clientWidth, this.canvas.clientHeight);
    this.draw();
  }

  zoom(x: number, y: number, factor: number): void {
    this.fitted = false;
    this.placement = zoomAt(this.placement, x, y, factor);
    this.draw();
  }

  pan(_pane: Pane | null, dx: number, dy: number): void {
    this.fitted = false;
    this.placement = { ...this.placement, left: this.placement.left + dx, top: this.placement.top + dy };
    this.draw();
  }

  turn(): void {}
  visit(): void {}
  scroll(): void {}

  private draw(): void {
    const { canvas, bitmap, placement } = this;
    if (!bitmap) return;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d")!;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    const scale = placement.scale * ratio;
    // Sample centres are whole numbers, so the drawn image begins half a pixel before the first one.
    context.setTransform(scale, 0, 0, scale, (placement.left - placement.scale / 2) * ratio, (placement.top - placement.scale / 2) * ratio);
    context.imageSmoothingEnabled = this.style.smooth || scale < 1;
    context.imageSmoothingQuality = "high";
    context.globalAlpha = 1;
    context.drawImage(bitmap, 0, 0);
    if (this.style.opacity > 0) {
      context.imageSmoothingEnabled = false;
      context.globalAlpha = this.style.opacity;
      context.drawImage(this.tint, 0, 0);
    }
    this.changed();
  }
}
