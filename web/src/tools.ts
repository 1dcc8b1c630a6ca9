import { clampVoxel, inRect, inside, normaliseBox, type Pane, paneAt, planeAxis, thin, tidy, toScreen, toVoxel } from "./geometry.ts";
import { markerAt, onSlice, type Pending } from "./overlay.ts";
import type { Action, Plane, Point, Tool, Voxel } from "./types.ts";
import type { Viewer } from "./viewer.ts";

/** A drag shorter than this is a click with an unsteady hand. */
const STEADY = 5;

export interface Host {
  viewer(): Viewer | null;
  size(): number[];
  points(): Point[];
  tool(): Tool;
  radius(): number;
  /** Whether input may change the mask now. */
  ready(): boolean;
  act(action: Action, pending: Pending | null): void;
  redraw(): void;
}

type Drag =
  | { kind: "aim"; pane: Pane; from: [number, number]; positive: boolean; button: number; box: boolean }
  | { kind: "point"; pane: Pane; index: number; from: [number, number]; live: boolean }
  | { kind: "path"; pane: Pane; path: Voxel[]; positive: boolean; brush: boolean }
  | { kind: "pan"; pane: Pane | null }
  | { kind: "turn" }
  | { kind: "visit"; plane: Plane };

function plane(pane: Pane): { plane?: Plane } {
  return pane.plane === null ? {} : { plane: pane.plane };
}

/** Turns pointer and arrow key input over the viewer into actions and movements of the view. */
export class Tools {
  draft: Pending | null = null;
  moved: { index: number; to: Voxel } | null = null;
  cursor: { plane: Plane | null; at: Voxel; keyboard: boolean } | null = null;

  private drag: Drag | null = null;
  private last: [number, number] = [0, 0];
  private space = false;
  private spaceUsed = false;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly host: Host,
  ) {
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", () => this.cancel());
    canvas.addEventListener("pointerleave", () => this.leave());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("keyup", (event) => this.keyUp(event));
    canvas.addEventListener("blur", () => {
      this.space = false;
    });
  }

  /** Gives up the drag in progress; false when there was none. */
  cancel(): boolean {
    const had = this.drag !== null;
    this.drag = this.draft = this.moved = null;
    if (had) this.host.redraw();
    return had;
  }

  /** The pane that keys refer to: the one under the cursor, or the first. */
  activePane(): Pane | null {
    const panes = this.host.viewer()?.panes() ?? [];
    return panes.find((pane) => pane.plane === this.cursor?.plane) ?? panes[0] ?? null;
  }

  private at(event: MouseEvent): [number, number] {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  private inRender([x, y]: [number, number]): boolean {
    const render = this.host.viewer()?.render();
    return !!render && inRect(render, x, y);
  }

  private down(event: PointerEvent): void {
    const viewer = this.host.viewer();
    if (!viewer || this.drag) return;
    this.canvas.focus({ preventScroll: true });
    const at = (this.last = this.at(event));
    const pane = paneAt(viewer.panes(), ...at);
    const { button, altKey, shiftKey } = event;
    if (button > 2) return;
    this.canvas.setPointerCapture(event.pointerId);
    if (button === 1 || this.space) {
      event.preventDefault();
      this.spaceUsed = true;
      this.drag = this.inRender(at) ? { kind: "turn" } : { kind: "pan", pane };
      return;
    }
    if (this.inRender(at)) {
      this.drag = { kind: "turn" };
      return;
    }
    if (!pane) return;
    const tool = this.host.tool();
    if (pane.plane !== null && button === 0 && (tool === "look" || shiftKey)) {
      this.drag = { kind: "visit", plane: pane.plane };
      viewer.visit(toVoxel(pane, ...at));
      return;
    }
    if (tool === "look") {
      this.drag = { kind: "pan", pane };
      return;
    }
    if (!this.host.ready()) return;
    const positive = button === 0 && !altKey;
    if (tool === "click") {
      const index = markerAt(pane, this.host.points(), ...at);
      if (index !== null && button === 2) {
        this.host.act({ do: "remove", index }, null);
      } else if (index !== null && button === 0 && !altKey) {
        this.drag = { kind: "point", pane, index, from: at, live: false };
      } else {
        this.drag = { kind: "aim", pane, from: at, positive, button, box: false };
      }
      return;
    }
    this.drag = { kind: "path", pane, path: [this.voxel(pane, at)], positive: tool === "eraser" ? false : positive, brush: tool !== "scribble" };
    this.sketch();
  }

  private voxel(pane: Pane, at: [number, number]): Voxel {
    return tidy(clampVoxel(toVoxel(pane, ...at), this.host.size()));
  }

  private sketch(): void {
    if (this.drag?.kind !== "path") return;
    const { path, positive, brush } = this.drag;
    this.draft = brush ? { kind: "stroke", path, radius: this.host.radius(), erase: !positive } : { kind: "path", path, positive };
    this.host.redraw();
  }

  private move(event: PointerEvent): void {
    const viewer = this.host.viewer();
    if (!viewer) return;
    const at = this.at(event);
    const [dx, dy] = [at[0] - this.last[0], at[1] - this.last[1]];
    const { drag } = this;
    const pane = paneAt(viewer.panes(), ...at);
    this.cursor = pane ? { plane: pane.plane, at: toVoxel(pane, ...at), keyboard: false } : null;
    this.last = at;
    if (!drag) {
      this.canvas.style.cursor = this.shape(pane, at);
      this.host.redraw();
      return;
    }
    if (drag.kind === "pan") viewer.pan(drag.pane, dx, dy);
    else if (drag.kind === "turn") viewer.turn(dx, dy);
    else if (drag.kind === "visit") {
      const over = viewer.panes().find((found) => found.plane === drag.plane);
      if (over) viewer.visit(toVoxel(over, ...at));
    } else if (drag.kind === "path") {
      for (const step of event.getCoalescedEvents?.() ?? [event]) {
        drag.path.push(this.voxel(drag.pane, this.at(step)));
      }
      this.sketch();
    } else if (drag.kind === "point") {
      drag.live ||= Math.hypot(at[0] - drag.from[0], at[1] - drag.from[1]) > 3;
      if (drag.live) this.moved = { index: drag.index, to: this.voxel(drag.pane, at) };
      this.host.redraw();
    } else {
      drag.box ||= drag.button === 0 && drag.positive && Math.hypot(at[0] - drag.from[0], at[1] - drag.from[1]) > STEADY;
      if (drag.box) this.draft = { kind: "box", ...this.corners(drag, at) };
      this.host.redraw();
    }
  }

  private corners(drag: { pane: Pane; from: [number, number] }, at: [number, number]): { low: Voxel; high: Voxel } {
    return normaliseBox(toVoxel(drag.pane, ...drag.from), toVoxel(drag.pane, ...at), this.host.size());
  }

  private up(event: PointerEvent): void {
    const { drag } = this;
    if (!drag) return;
    const at = this.at(event);
    const { moved } = this;
    this.drag = this.draft = this.moved = null;
    if (drag.kind === "aim") {
      if (drag.box) {
        const { low, high } = this.corners(drag, at);
        const [i, j] = drag.pane.axes;
        if (high[i]! > low[i]! && high[j]! > low[j]!) this.host.act({ do: "box", low, high, ...plane(drag.pane) }, { kind: "box", low, high });
      } else {
        this.click(drag.pane, toVoxel(drag.pane, ...drag.from), drag.positive);
      }
    } else if (drag.kind === "point" && moved) {
      this.host.act({ do: "move", index: moved.index, to: moved.to }, { kind: "point", at: moved.to, positive: this.host.points()[moved.index]?.positive ?? true });
    } else if (drag.kind === "path") {
      const scale = Math.min(Math.abs(drag.pane.scale[0]), Math.abs(drag.pane.scale[1]));
      const path = thin(drag.path, Math.max(0.5, 1.5 / scale));
      const { positive } = drag;
      if (drag.brush) {
        const radius = this.host.radius();
        this.host.act({ do: "brush", path, radius, erase: !positive, ...plane(drag.pane) }, { kind: "stroke", path, radius, erase: !positive });
      } else {
        this.host.act({ do: "scribble", path, positive, ...plane(drag.pane) }, { kind: "path", path, positive });
      }
    }
    this.host.redraw();
  }

  private click(pane: Pane, voxel: Voxel, positive: boolean): void {
    if (!inside(voxel, this.host.size())) return;
    const at = tidy(clampVoxel(voxel, this.host.size()));
    this.host.act({ do: "click", at, positive, ...plane(pane) }, { kind: "point", at, positive });
  }

  private leave(): void {
    if (this.drag || this.cursor?.keyboard) return;
    this.cursor = null;
    this.host.redraw();
  }

  private shape(pane: Pane | null, at: [number, number]): string {
    if (this.space || (!pane && this.inRender(at))) return "grab";
    if (!pane) return "default";
    const tool = this.host.tool();
    if (tool === "look") return pane.plane === null ? "grab" : "crosshair";
    if (tool === "brush" || tool === "eraser") return "none";
    if (tool === "click" && markerAt(pane, this.host.points(), ...at) !== null) return "move";
    return "crosshair";
  }

  private wheel(event: WheelEvent): void {
    const viewer = this.host.viewer();
    if (!viewer) return;
    event.preventDefault();
    const at = this.at(event);
    const pane = paneAt(viewer.panes(), ...at);
    // Firefox counts in lines, others in pixels.
    const amount = event.deltaY * (event.deltaMode === 1 ? 33 : 1);
    if (!amount) return;
    if (pane?.plane && !event.ctrlKey) viewer.scroll(pane, amount > 0 ? -1 : 1);
    else viewer.zoom(...at, Math.exp(-Math.max(-240, Math.min(240, amount)) * 0.002));
  }

  private key(event: KeyboardEvent): void {
    const viewer = this.host.viewer();
    if (!viewer || event.ctrlKey || event.metaKey || event.altKey) return;
    const pane = this.activePane();
    if (!pane) return;
    if (event.key === " ") {
      event.preventDefault();
      if (!event.repeat) {
        this.space = true;
        this.spaceUsed = false;
        this.canvas.style.cursor = "grab";
      }
      return;
    }
    if (event.key === "PageUp" || event.key === "PageDown") {
      viewer.scroll(pane, event.key === "PageUp" ? 1 : -1);
      this.follow(pane);
    } else if (event.key.toLowerCase() === "v" && pane.plane !== null) {
      const panes = viewer.panes();
      const next = panes[(panes.findIndex((found) => found.plane === pane.plane) + 1) % panes.length]!;
      this.place(next, this.centre(next));
    } else if (event.key.startsWith("Arrow")) {
      const start = this.cursor && onSlice(pane, this.cursor.at) ? toScreen(pane, this.cursor.at) : null;
      const reach = event.shiftKey ? 10 : 1;
      const stepX = Math.max(1, Math.abs(pane.scale[0])) * reach;
      const stepY = Math.max(1, Math.abs(pane.scale[1])) * reach;
      const dx = event.key === "ArrowLeft" ? -stepX : event.key === "ArrowRight" ? stepX : 0;
      const dy = event.key === "ArrowUp" ? -stepY : event.key === "ArrowDown" ? stepY : 0;
      const [x, y] = start ?? toScreen(pane, this.centre(pane));
      this.place(pane, start ? this.voxel(pane, [x + dx, y + dy]) : this.centre(pane));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private keyUp(event: KeyboardEvent): void {
    if (event.key !== " " || !this.space) return;
    event.preventDefault();
    this.space = false;
    this.canvas.style.cursor = "";
    const pane = this.activePane();
    if (this.spaceUsed || !this.cursor?.keyboard || !pane || !this.host.ready()) return;
    this.click(pane, this.cursor.at, !event.shiftKey);
  }

  private centre(pane: Pane): Voxel {
    const { left, top, width, height } = pane.rect;
    return this.voxel(pane, [left + width / 2, top + height / 2]);
  }

  private place(pane: Pane, at: Voxel): void {
    this.cursor = { plane: pane.plane, at, keyboard: true };
    this.host.redraw();
  }

  private follow(pane: Pane): void {
    const now = this.host.viewer()?.panes().find((found) => found.plane === pane.plane);
    if (!now?.plane || !this.cursor?.keyboard) return;
    this.cursor.at[planeAxis(now.plane)] = now.slice;
    this.host.redraw();
  }
}
