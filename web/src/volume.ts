import { Niivue } from "@niivue/niivue";
import type { Api } from "./api.ts";
import { clamp, inRect, type Pane, planeAxis, type Rect, toVoxel } from "./geometry.ts";
import type { DecodedPatch, LabelMap } from "./patches.ts";
import { arrange, RENDER, tilePane, tileRect } from "./planes.ts";
import type { View, Voxel } from "./types.ts";
import type { Layout, Look, Viewer } from "./viewer.ts";

/** The texture unit that NiiVue keeps the drawing in. */
const DRAWING_UNIT = 7;

export class VolumeViewer implements Viewer {
  private nv: Niivue | null = null;
  private view: View | null = null;
  private map: LabelMap | null = null;
  private style: Look = { table: new Uint8ClampedArray(1024), opacity: 0.4, smooth: false };
  private layout: Layout = "auto";
  /** Whether the processor draws, which takes seconds for a 3-D render. */
  private software = false;
  private radiological = true;
  private frame = 0;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly api: Api,
    private readonly changed: () => void,
  ) {}

  private async start(): Promise<Niivue> {
    if (this.nv) return this.nv;
    const nv = new Niivue({
      // All input comes through the tools, and the size follows this page's own layout.
      interactive: false,
      isResizeCanvas: false,
      dragAndDropEnabled: false,
      drawingEnabled: false,
      logLevel: "error",
      loadingText: "",
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.6, 0.9, 0.3, 0.7],
      crosshairWidth: 0.25,
      crosshairWidthUnit: "percent",
      show3Dcrosshair: true,
      isNearestInterpolation: true,
      multiplanarPadPixels: 4,
      fontColor: [0.75, 0.88, 1, 1],
      fontMinPx: 12,
      fontSizeScaling: 0.3,
    });
    this.scaleCanvas(nv);
    try {
      await nv.attachToCanvas(this.canvas, true);
    } catch {
      throw new Error("This browser cannot show volumes: WebGL 2 is missing. Turn on hardware acceleration, or use another browser.");
    }
    this.nv = nv;
    // NiiVue draws at every setting; held busy, it draws only where draw() lets it.
    nv.isBusy = true;
    this.canvas.removeAttribute("tabindex");
    const about = nv.gl.getExtension("WEBGL_debug_renderer_info");
    const renderer = String(nv.gl.getParameter(about ? about.UNMASKED_RENDERER_WEBGL : nv.gl.RENDERER));
    this.software = /swiftshader|llvmpipe|software|basic render/i.test(renderer);
    return nv;
  }

  private scaleCanvas(nv: Niivue): void {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    nv.uiData.dpr = ratio;
  }

  async load(view: View, map: LabelMap, signal: AbortSignal): Promise<void> {
    const buffer = await this.api.volume(view.image, signal);
    if (signal.aborted) return;
    this.canvas.hidden = false;
    const nv = await this.start();
    this.view = this.map = null;
    while (nv.volumes.length > 0) nv.removeVolumeByIndex(0);
    this.resize();
    await nv.loadFromArrayBuffer(buffer, "volume.nii.gz");
    if (signal.aborted) return;
    const volume = nv.volumes[0];
    const size = volume?.dimsRAS?.slice(1, 4) ?? [];
    if (!volume || size.length !== 3 || size.some((n, axis) => n !== view.size[axis])) {
      throw new Error("The volume and its mask do not have the same size.");
    }
    volume.cal_min = view.levels[0];
    volume.cal_max = view.levels[1];
    this.view = view;
    this.map = map;
    nv.createEmptyDrawing();
    nv.drawBitmap = map.data;
    nv.opts.isRadiologicalConvention = this.radiological;
    nv.scene.pan2Dxyzmm = [0, 0, 0, 1];
    nv.scene.volScaleMultiplier = 1;
    nv.scene.crosshairPos = this.fraction(view.size.map((n) => Math.floor((n - 1) / 2)));
    this.arrange(this.layout);
    nv.setInterpolation(!this.style.smooth);
    nv.updateGLVolume();
    this.look(this.style);
    this.repaint(null);
  }

  unload(): void {
    this.view = this.map = null;
    this.canvas.hidden = true;
  }

  arrange(layout: Layout): void {
    this.layout = layout;
    if (!this.nv) return;
    this.nv.setCustomLayout(arrange(layout === "auto" ? (this.software ? "flat" : "all") : layout));
    this.draw();
  }

  convention(radiological: boolean): void {
    this.radiological = radiological;
    if (!this.nv || !this.view) return;
    this.nv.setRadiologicalConvention(radiological);
    this.draw();
  }

  range(): [number, number] {
    const volume = this.nv?.volumes[0];
    const [low, high] = this.view?.levels ?? [0, 1];
    return [Math.min(low, volume?.global_min ?? low), Math.max(high, volume?.global_max ?? high)];
  }

  async levels(low: number, high: number): Promise<void> {
    const volume = this.nv?.volumes[0];
    if (!volume || !this.nv) return;
    volume.cal_min = low;
    volume.cal_max = Math.max(high, low + 1e-6);
    this.nv.updateGLVolume();
    this.draw();
  }

  look(look: Look): void {
    const { nv } = this;
    const smooth = this.style.smooth !== look.smooth;
    this.style = look;
    if (!nv || !this.view) return;
    if (smooth) nv.setInterpolation(!look.smooth);
    nv.drawLut = { lut: look.table.slice(), labels: [] };
    nv.refreshColormaps();
    nv.setDrawOpacity(look.opacity);
    this.draw();
  }

  repaint(patch: DecodedPatch | null): void {
    const { nv, map } = this;
    if (!nv || !map || !nv.drawTexture) return;
    if (!patch) {
      nv.refreshDrawing(false);
    } else {
      // Sending the whole map at each click would stall large scans; only the changed block goes to the GPU.
      const { gl } = nv;
      gl.activeTexture(gl.TEXTURE0 + DRAWING_UNIT);
      gl.bindTexture(gl.TEXTURE_3D, nv.drawTexture);
      gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
      gl.texSubImage3D(gl.TEXTURE_3D, 0, ...patch.start, ...patch.size, gl.RED, gl.UNSIGNED_BYTE, patch.data);
    }
    this.draw();
  }

  /** Draws once per frame, however many changes there are. */
  private draw(): void {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      const { nv } = this;
      if (!nv || !this.view) return;
      nv.isBusy = false;
      nv.drawScene();
      nv.isBusy = true;
      this.changed();
    });
  }

  private fraction(voxel: Voxel): [number, number, number] {
    return [0, 1, 2].map((axis) => (voxel[axis]! + 0.5) / this.view!.size[axis]!) as [number, number, number];
  }

  position(): Voxel {
    const { nv, view } = this;
    if (!nv || !view) return [0, 0, 0];
    return view.size.map((n, axis) => clamp(Math.round(nv.scene.crosshairPos[axis]! * n - 0.5), 0, n - 1));
  }

  panes(): Pane[] {
    const { nv, view } = this;
    const volume = nv?.volumes[0];
    if (!nv || !view || !volume) return [];
    const space = {
      size: view.size,
      first: volume.convertFrac2MM([0, 0, 0]),
      last: volume.convertFrac2MM([1, 1, 1]),
      at: this.position(),
      ratio: nv.uiData.dpr ?? 1,
    };
    return nv.screenSlices.map((tile) => tilePane(tile, space)).filter((pane) => pane !== null);
  }

  render(): Rect | null {
    const { nv, view } = this;
    if (!nv || !view) return null;
    const tile = nv.screenSlices.find((found) => found.axCorSag === RENDER);
    return tile ? tileRect(tile, nv.uiData.dpr ?? 1) : null;
  }

  resize(): void {
    const { nv } = this;
    if (!nv || this.canvas.hidden) return;
    this.scaleCanvas(nv);
    nv.gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    nv.textSizePoints();
    this.draw();
  }

  fit(): void {
    if (!this.nv) return;
    this.nv.scene.volScaleMultiplier = 1;
    this.nv.scene.pan2Dxyzmm = [0, 0, 0, 1];
    this.draw();
  }

  zoom(x: number, y: number, factor: number): void {
    const { nv } = this;
    if (!nv) return;
    const render = this.render();
    if (render && inRect(render, x, y)) {
      nv.scene.volScaleMultiplier = clamp(nv.scene.volScaleMultiplier * factor, 0.4, 4);
      return this.draw();
    }
    const pane = this.panes().find((found) => inRect(found.rect, x, y)) ?? this.panes()[0];
    const before = pane ? toVoxel(pane, x, y) : this.position();
    const [px, py, pz, zoom] = nv.scene.pan2Dxyzmm as unknown as [number, number, number, number];
    const next = clamp(zoom * factor, 1, 20);
    const volume = nv.volumes[0]!;
    const mm = volume.convertFrac2MM(this.fraction(before));
    // NiiVue draws a position at position * zoom + pan, so this pan leaves what is under the cursor where it was.
    const shift = (pan: number, at: number): number => (next === 1 ? 0 : pan + at * (zoom - next));
    nv.scene.pan2Dxyzmm = [shift(px, mm[0]), shift(py, mm[1]), shift(pz, mm[2]), next];
    this.draw();
  }

  pan(pane: Pane | null, dx: number, dy: number): void {
    const { nv, view } = this;
    if (!nv || !view || !pane) return;
    const pan = [...(nv.scene.pan2Dxyzmm as unknown as number[])] as [number, number, number, number];
    const volume = nv.volumes[0]!;
    const [first, last] = [volume.convertFrac2MM([0, 0, 0]), volume.convertFrac2MM([1, 1, 1])];
    [dx, dy].forEach((move, screen) => {
      const axis = pane.axes[screen]! as 0 | 1 | 2;
      const step = (last[axis] - first[axis]) / view.size[axis]!;
      pan[axis] += (move / pane.scale[screen]!) * step * pan[3];
    });
    nv.scene.pan2Dxyzmm = pan;
    this.draw();
  }

  turn(dx: number, dy: number): void {
    const { nv } = this;
    if (!nv) return;
    nv.setRenderAzimuthElevation(nv.scene.renderAzimuth - dx * 0.5, clamp(nv.scene.renderElevation + dy * 0.5, -90, 90));
    this.draw();
  }

  visit(voxel: Voxel): void {
    const { nv, view } = this;
    if (!nv || !view) return;
    nv.scene.crosshairPos = this.fraction(voxel.map((v, axis) => clamp(Math.round(v), 0, view.size[axis]! - 1)));
    this.draw();
  }

  scroll(pane: Pane | null, step: number): void {
    if (!pane?.plane) return;
    const at = this.position();
    at[planeAxis(pane.plane)]! += step;
    this.visit(at);
  }
}
