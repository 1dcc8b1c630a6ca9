import type { Order } from "./order.ts";
import type { LabelMap } from "./patches.ts";
import type { Action, Job, Project, Tool, View } from "./types.ts";
import type { Layout } from "./viewer.ts";

export interface Message {
  text: string;
  kind: "info" | "error";
}

export interface PageState {
  project: Project | null;
  jobs: Job[];
  view: View | null;
  /** The image on its way, until it is displayed. */
  loading: string | null;
  map: LabelMap | null;
  mapVersion: number;
  /** The action that the server works on. */
  busy: Action["do"] | null;
  lost: boolean;
  message: Message;
  /** Whether the shown image has changes that are not in its mask file. */
  dirty: boolean;
  tool: Tool;
  radius: number;
  opacity: number;
  masked: boolean;
  smooth: boolean;
  layout: Layout;
  radiological: boolean;
  low: number;
  high: number;
  order: Order;
  filter: string;
  hinted: boolean;
}

export const INITIAL: PageState = {
  project: null,
  jobs: [],
  view: null,
  loading: null,
  map: null,
  mapVersion: 0,
  busy: null,
  lost: false,
  message: { text: "", kind: "info" },
  dirty: false,
  tool: "click",
  radius: 6,
  opacity: 0.4,
  masked: true,
  smooth: false,
  layout: "auto",
  radiological: true,
  low: 0,
  high: 255,
  order: "name",
  filter: "",
  hinted: false,
};

const KEPT = ["opacity", "smooth", "layout", "radiological", "order", "hinted", "radius"] as const;
const PLACE = "promisam.page";

/** What the user chose last time; a browser that refuses storage only forgets it. */
export function remembered(): Partial<PageState> {
  try {
    const all = JSON.parse(localStorage.getItem(PLACE) ?? "{}") as Record<string, unknown>;
    const kept = KEPT.filter((key) => typeof all[key] === typeof INITIAL[key]);
    return Object.fromEntries(kept.map((key) => [key, all[key]])) as Partial<PageState>;
  } catch {
    return {};
  }
}

export function remember(state: Readonly<PageState>): void {
  try {
    localStorage.setItem(PLACE, JSON.stringify(Object.fromEntries(KEPT.map((key) => [key, state[key]]))));
  } catch {
    /* nothing to be done */
  }
}
