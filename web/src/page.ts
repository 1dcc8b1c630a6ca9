import { Api, sentence } from "./api.ts";
import { labelTable } from "./colour.ts";
import { find, make, setText } from "./dom.ts";
import { clamp, planeAxis, type Pane, toScreen, toVoxel } from "./geometry.ts";
import { type Command, commandOf } from "./keys.ts";
import { labelByDigit } from "./labels.ts";
import { Overlay } from "./overlay.ts";
import { BRUSH, controlsPanel } from "./panels/controls.ts";
import { ask, showShortcuts } from "./panels/dialog.ts";
import { imagesPanel } from "./panels/images.ts";
import { labelsPanel } from "./panels/labels.ts";
import { loopPanel, running } from "./panels/loop.ts";
import { PictureViewer } from "./picture.ts";
import { Session } from "./session.ts";
import { INITIAL, type PageState, remember, remembered } from "./state.ts";
import { Store } from "./store.ts";
import { Tools } from "./tools.ts";
import type { Action, Job, Label, Plane, View } from "./types.ts";
import type { Viewer } from "./viewer.ts";
import { VolumeViewer } from "./volume.ts";

const TOKEN = "promisam.token";

function token(): string {
  const given = new URLSearchParams(location.search).get("token");
  if (given) sessionStorage.setItem(TOKEN, given);
  return given ?? sessionStorage.getItem(TOKEN) ?? "";
}

const api = new Api(token());
const store = new Store<PageState>({ ...INITIAL, ...remembered() });
const canvas = find<HTMLCanvasElement>("viewer");
const overlay = new Overlay(canvas);

let frame = 0;
function redraw(): void {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    paint();
  });
}

const picture = new PictureViewer(find<HTMLCanvasElement>("picture"), api, redraw);
const volume = new VolumeViewer(find<HTMLCanvasElement>("volume"), api, redraw);

function viewer(): Viewer | null {
  const { view, loading } = store.state;
  if (!view || loading !== null) return null;
  return view.ndim === 3 ? volume : picture;
}

const session = new Session(api, store, {
  viewerFor(view: View): Viewer {
    const [used, other] = view.ndim === 3 ? [volume, picture] : [picture, volume];
    other.unload();
    return used;
  },
  ask,
  redraw,
  clear() {
    picture.unload();
    volume.unload();
    redraw();
  },
});

const tools = new Tools(canvas, {
  viewer,
  size: () => store.state.view?.size ?? [],
  points: () => store.state.view?.prompts.points ?? [],
  tool: () => store.state.tool,
  radius: () => store.state.radius,
  ready: () => store.state.view !== null && store.state.loading === null && !store.state.lost,
  act(action: Action, pending) {
    store.set({ hinted: true });
    session.act(action, pending);
  },
  redraw,
});

function colours(): Map<number, string> {
  return new Map((store.state.project?.labels ?? []).map((label) => [label.value, label.colour]));
}

function paint(): void {
  const { state } = store;
  const panes = viewer()?.panes() ?? [];
  const known = colours();
  const over = tools.cursor && panes.find((pane) => pane.plane === tools.cursor!.plane);
  const painting = state.tool === "brush" || state.tool === "eraser";
  overlay.draw({
    panes,
    map: state.map,
    version: state.mapVersion,
    points: state.view?.prompts.points ?? [],
    box: state.view?.prompts.box ?? null,
    pending: session.pending,
    draft: tools.draft,
    moved: tools.moved,
    colours: known,
    active: known.get(state.view?.label ?? 0) ?? "#ffffff",
    outline: state.masked,
    cursor: over && tools.cursor ? { pane: over, at: tools.cursor.at, radius: painting ? state.radius : null, keyboard: tools.cursor.keyboard } : null,
  });
  const at = over && tools.cursor ? tools.cursor.at.map((v) => Math.round(v)) : null;
  setText(find("where"), at && over ? `${over.plane ? `${{ x: "sagittal", y: "coronal", z: "axial" }[over.plane]} ${over.slice + 1}/${state.view!.size[planeAxis(over.plane)]}  ` : ""}${at.join(", ")}` : "");
}

function act(action: Action): void {
  store.set({ hinted: true });
  session.act(action, null);
}

function run(command: Command): void {
  const { view, project, loading } = store.state;
  switch (command.do) {
    case "undo":
      if (view?.undo || session.queue.busy) act({ do: "undo" });
      return;
    case "redo":
      if (view?.redo) act({ do: "redo" });
      return;
    case "accept":
      if (view?.object || session.queue.busy) act({ do: "accept" });
      return;
    case "clear":
      if (tools.cancel()) return;
      if (view?.object || session.queue.busy) act({ do: "clear" });
      return;
    case "suggest":
      if (project?.method.automatic) act({ do: "suggest" });
      else session.say("The present method cannot suggest a mask. Click on the object, or learn a method first.");
      return;
    case "follow": {
      if (view?.ndim !== 3) return;
      const plane = lastPlane ?? tools.activePane()?.plane ?? "z";
      if (view.object) act({ do: "follow", plane });
      else session.say("First click on the object in one slice.");
      return;
    }
    case "save":
      if (view && loading === null) void session.save(command.state);
      return;
    case "go":
      void session.go(command.step);
      return;
    case "label": {
      const label = labelByDigit(project?.labels ?? [], command.digit);
      if (label) pick(label.value);
      return;
    }
    case "tool":
      tools.cancel();
      store.set({ tool: command.tool });
      return;
    case "brush": {
      const { radius } = store.state;
      store.set({ radius: clamp(radius + command.step * Math.max(0.5, Math.round(radius / 5)), BRUSH.least, BRUSH.most) });
      return;
    }
    case "zoom":
      viewer()?.zoom(...middle(), command.step > 0 ? 1.25 : 0.8);
      return;
    case "fit":
      viewer()?.fit();
      return;
    case "mask":
      store.set({ masked: !store.state.masked });
      return;
    case "shortcuts":
      showShortcuts();
  }
}

/** The plane of the last click, which is the one whose slices an object is followed through. */
let lastPlane: Plane | null = null;
canvas.addEventListener("pointerup", () => {
  if (tools.cursor?.plane) lastPlane = tools.cursor.plane;
});

function middle(): [number, number] {
  const pane = tools.activePane();
  if (pane && tools.cursor) return toScreen(pane, tools.cursor.at);
  return [canvas.clientWidth / 2, canvas.clientHeight / 2];
}

function pick(value: number): void {
  if (value !== store.state.view?.label) act({ do: "label", value });
}

async function changeLabels(labels: Label[]): Promise<boolean> {
  try {
    const changed = await api.setLabels(labels);
    const { project } = store.state;
    if (project) store.set({ project: { ...project, labels: changed } });
    return true;
  } catch (problem) {
    session.problem(problem);
    return false;
  }
}

imagesPanel(store, { open: (name) => void session.open(name), thumbnail: (name) => api.thumbnail(name) });
loopPanel(store, {
  start: (job) => void api.startJob(job).then((started) => {
    store.set({ jobs: [...store.state.jobs.filter((known) => known.id !== started.id), started] });
    session.say("");
  }, (problem) => session.problem(problem)),
  cancel: (job) => void api.cancelJob(job.id).then((left) => {
    store.set({ jobs: store.state.jobs.map((known) => (known.id === left.id ? left : known)) });
  }, (problem) => session.problem(problem)),
});
find("side").append(
  labelsPanel(store, { pick, change: changeLabels }),
  ...controlsPanel(store, {
    run,
    empty: () => act({ do: "empty" }),
    range: () => (store.state.view?.ndim === 3 ? volume.range() : picture.range()),
    resetLevels() {
      const levels = store.state.view?.levels;
      if (levels) store.set({ low: levels[0], high: levels[1] });
    },
  }),
);
find("shortcuts").addEventListener("click", showShortcuts);

store.watch(["project"], (state) => {
  setText(find("title"), state.project?.title ?? "promisam annotate");
  find("title").title = state.project ? `${state.project.title} - promisam ${state.project.version}, method ${state.project.method.name}` : "";
});

let coloured = "";
let table = labelTable([]);
store.watch(["project", "opacity", "masked", "smooth", "view"], (state) => {
  const now = JSON.stringify(state.project?.labels ?? []);
  if (now !== coloured) table = labelTable(state.project?.labels ?? []);
  coloured = now;
});
store.watch(["project", "opacity", "masked", "smooth"], (state) => {
  const look = { table, opacity: state.masked ? state.opacity : 0, smooth: state.smooth };
  picture.look(look);
  volume.look(look);
  redraw();
});
store.watch(["layout"], (state) => volume.arrange(state.layout));
store.watch(["radiological"], (state) => volume.convention(state.radiological));
store.watch(["tool", "radius", "map", "mapVersion", "view"], redraw);
store.watch(["opacity", "smooth", "layout", "radiological", "order", "hinted", "radius"], remember);

let levelTimer = 0;
let levelled: View | null = null;
store.watch(["low", "high"], (state) => {
  const { low, high, view } = state;
  const fresh = view !== null && levelled?.image !== view.image;
  levelled = view;
  if (!viewer() || fresh) return;
  clearTimeout(levelTimer);
  // A picture's levels cost a request, a volume's only a redraw.
  levelTimer = window.setTimeout(() => {
    viewer()?.levels(low, high).catch((problem: unknown) => session.problem(problem));
  }, view?.ndim === 3 ? 0 : 120);
});

store.watch(["message", "lost"], (state) => {
  const { text, kind } = state.message;
  setText(find("status"), kind === "info" ? text : "");
  setText(find("alert"), kind === "error" ? text : "");
});

store.watch(["view", "dirty", "loading"], (state) => {
  const { view } = state;
  const facts = view
    ? [
        view.image,
        `${view.size.join(" × ")}${view.unit === "mm" ? `, ${view.spacing.map((s) => Number(s.toFixed(2))).join(" × ")} mm` : ""}`,
        view.object && view.quality !== null ? `expected overlap ${Math.round(view.quality * 100)} %` : "",
        state.dirty ? "not saved yet" : "",
      ]
    : [];
  setText(find("facts"), facts.filter(Boolean).join("   |   "));
  canvas.setAttribute("aria-label", view ? `${view.image}, ${view.ndim === 3 ? "volume" : "picture"} of ${view.size.join(" by ")}` : "No image is open");
});

let thinkTimer = 0;
store.watch(["busy", "loading", "lost"], (state) => {
  const text = state.lost ? "Waiting for the server" : state.loading !== null ? `Opening ${state.loading}` : state.busy === "follow" ? "Following through the slices" : state.busy ? "Thinking" : "";
  clearTimeout(thinkTimer);
  setText(find("thinking-text"), text || "Thinking");
  if (!text) find("thinking").hidden = true;
  else thinkTimer = window.setTimeout(() => (find("thinking").hidden = false), 120);
  canvas.setAttribute("aria-busy", String(text !== ""));
});

store.watch(["view", "loading", "hinted"], (state) => {
  const hint = find("hint");
  hint.hidden = !state.view || state.loading !== null || state.hinted;
  const scroll = state.view?.ndim === 3 ? " Turn the wheel to go through the slices." : "";
  setText(hint, `Click on the object; right click to take away; drag for a box; Enter when it is right.${scroll}`);
});

store.watch(["project", "view"], (state) => {
  const empty = find("empty");
  empty.hidden = !state.project || state.project.images.length > 0;
  if (!empty.hidden) empty.replaceChildren(make("p", {}, "This folder has no images that can be opened. Put pictures or volumes into it and start the annotator again."));
});

let jobBefore: Job | null = null;
store.watch(["jobs"], (state) => {
  const now = running(state.jobs);
  const before = jobBefore;
  jobBefore = now;
  if (!before || now?.id === before.id) return;
  const ended = state.jobs.find((job) => job.id === before.id);
  if (ended) void jobEnded(ended);
});

async function jobEnded(job: Job): Promise<void> {
  await session.refresh();
  const text = sentence(job.text || "done");
  if (job.state === "failed") return session.say(job.text ? text : "The job failed. The server's terminal says more.", "error");
  if (job.state === "cancelled") return session.say("Cancelled.");
  if (job.kind === "select") {
    store.set({ order: "chosen" });
    session.say(`${text} They come first in the list now.`);
  } else if (job.kind === "learn") {
    session.say(`${text} Pre-segment the rest with it.`);
  } else if (job.kind === "presegment") {
    store.set({ order: "doubt" });
    const { view, dirty } = store.state;
    if (view && view.state === "open" && !dirty) await session.open(view.image, { again: true });
    session.say(`${text} Look at those in doubt first; save each when it is right.`);
  }
}

async function beat(): Promise<never> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, running(store.state.jobs) ? 700 : 4000));
    await session.heartbeat();
  }
}

window.addEventListener("pagehide", () => session.goodbye());

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
  const target = event.target as HTMLElement;
  const typing = target.matches("input:not([type=checkbox]):not([type=color]):not([type=range]), textarea, select") || target.isContentEditable;
  const stroke = { key: event.key, ctrl: event.ctrlKey || event.metaKey, shift: event.shiftKey, alt: event.altKey };
  const command = commandOf(stroke);
  if (!command) return;
  if (typing) {
    if (event.key === "Escape") target.blur();
    return;
  }
  // Enter on a focused control is that control's own key.
  if (event.key === "Enter" && target.closest("button, a, input, select")) return;
  if (event.repeat && !["undo", "redo", "brush", "zoom", "go"].includes(command.do)) return event.preventDefault();
  event.preventDefault();
  run(command);
});

new ResizeObserver(() => {
  viewer()?.resize();
  redraw();
}).observe(canvas);

declare global {
  interface Window {
    promisam: {
      /** The position of a voxel on the page in CSS pixels, in the given plane of a volume. */
      toScreen(voxel: number[], plane?: Plane): { x: number; y: number } | null;
      /** The voxel under a position on the page. */
      toVoxel(x: number, y: number): { voxel: number[]; plane: Plane | null } | null;
      panes(): Pane[];
    };
  }
}

window.promisam = {
  toScreen(voxel, plane) {
    const panes = viewer()?.panes() ?? [];
    const pane = panes.find((found) => found.plane === (plane ?? null)) ?? (plane ? null : panes[0]);
    if (!pane) return null;
    const box = canvas.getBoundingClientRect();
    const [x, y] = toScreen(pane, voxel);
    return { x: x + box.left, y: y + box.top };
  },
  toVoxel(x, y) {
    const box = canvas.getBoundingClientRect();
    const [px, py] = [x - box.left, y - box.top];
    const pane = viewer()?.panes().find(({ rect }) => px >= rect.left && py >= rect.top && px < rect.left + rect.width && py < rect.top + rect.height);
    return pane ? { voxel: toVoxel(pane, px, py), plane: pane.plane } : null;
  },
  panes: () => viewer()?.panes() ?? [],
};

session.start().catch((problem: unknown) => session.problem(problem));
void beat();
