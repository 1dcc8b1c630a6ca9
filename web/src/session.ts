import { type Api, Refused, Unreachable } from "./api.ts";
import type { Pending } from "./overlay.ts";
import { neighbour } from "./order.ts";
import { shownImages } from "./panels/images.ts";
import { applyPatch, decodePatch, emptyMap, isWhole } from "./patches.ts";
import { ActionQueue } from "./queue.ts";
import type { PageState } from "./state.ts";
import type { Store } from "./store.ts";
import type { Action, View } from "./types.ts";
import type { Viewer } from "./viewer.ts";

const LOST = "The server does not answer; trying again";
const PLACE = "promisam.session";

export interface SessionHost {
  viewerFor(view: View): Viewer;
  ask(title: string, text: string, yes: string, no: string): Promise<boolean>;
  redraw(): void;
  /** Takes every image off the screen. */
  clear(): void;
}

const wait = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** What the user annotates: the open image, its label map, and the traffic about both. */
export class Session {
  /** Input on its way, to be drawn until the server has answered it. */
  pending: Pending[] = [];

  private id = "";
  private loads: AbortController | null = null;
  private opening: Promise<void> = Promise.resolve();
  private reconnecting: Promise<void> | null = null;
  readonly queue: ActionQueue<View>;

  constructor(
    private readonly api: Api,
    private readonly store: Store<PageState>,
    private readonly host: SessionHost,
  ) {
    this.queue = new ActionQueue<View>(
      (action) => this.send(action),
      (view) => this.receive(view),
      (problem) => this.failed(problem),
      (action) => store.set({ busy: action?.do ?? null }),
    );
  }

  say(text: string, kind: "info" | "error" = "info"): void {
    this.store.set({ message: { text, kind } });
  }

  /** Shows a problem in words; a request given up on purpose is none. */
  problem(problem: unknown): void {
    if (problem instanceof DOMException && problem.name === "AbortError") return;
    this.say(problem instanceof Error ? problem.message : String(problem), "error");
  }

  /** Takes up the session of this tab, or begins one, and opens the image it was left at. */
  async start(): Promise<void> {
    const project = await this.patiently(() => this.api.project());
    this.store.set({ project, jobs: project.jobs });
    document.title = `${project.title} - promisam annotate`;
    const kept = sessionStorage.getItem(PLACE);
    if (kept) {
      this.id = kept;
      const view = await this.patiently(() => this.api.session(kept)).catch((problem: unknown) => {
        if (problem instanceof Refused) return undefined;
        throw problem;
      });
      if (view) return this.display(view);
      if (view === undefined) await this.begin();
    } else {
      await this.begin();
    }
    const shown = shownImages(this.store.state);
    const first = shown.find((image) => image.state !== "done") ?? shown[0];
    if (first) await this.open(first.name);
  }

  private async begin(): Promise<void> {
    this.id = await this.patiently(() => this.api.newSession());
    sessionStorage.setItem(PLACE, this.id);
  }

  /** Runs a request again and again while the server is away. Only for requests that may be carried out twice. */
  private async patiently<T>(request: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const answer = await request();
        this.found();
        return answer;
      } catch (problem) {
        if (!(problem instanceof Unreachable)) throw problem;
        await this.reconnect();
      }
    }
  }

  private found(): void {
    if (!this.store.state.lost) return;
    this.store.set({ lost: false });
    this.say("The server answers again.");
  }

  /** Waits until the server answers anything. */
  private reconnect(): Promise<void> {
    this.store.set({ lost: true });
    this.say(LOST, "error");
    this.reconnecting ??= (async () => {
      for (let pause = 500; ; pause = Math.min(3000, pause * 1.5)) {
        await wait(pause);
        try {
          await this.api.jobs();
          break;
        } catch (problem) {
          if (!(problem instanceof Unreachable)) break;
        }
      }
      this.reconnecting = null;
      this.found();
    })();
    return this.reconnecting;
  }

  /** The page is closed or loaded again: others may have the image until it is heard of. */
  goodbye(): void {
    if (this.id) this.api.leave(this.id);
  }

  /** Notices a lost server also while the user does nothing, and whether a job has gone on. */
  async heartbeat(): Promise<void> {
    if (this.reconnecting || !this.store.state.project) return;
    try {
      const jobs = await this.api.jobs(this.id);
      this.store.set({ jobs });
    } catch (problem) {
      if (problem instanceof Unreachable) await this.reconnect();
    }
  }

  private async send(action: Action): Promise<View> {
    for (;;) {
      try {
        return await this.api.act(this.id, action);
      } catch (problem) {
        if (!(problem instanceof Unreachable)) throw problem;
        await this.reconnect();
        const view = await this.resume();
        // A newer revision means that the action had arrived and only its answer was lost.
        if (view.revision !== this.store.state.view?.revision) return view;
      }
    }
  }

  /** The server's present view of the open image, also from a server that has forgotten this session. */
  private async resume(): Promise<View> {
    const image = this.store.state.view?.image;
    if (!image) throw new Error("No image is open.");
    let view: View | null;
    try {
      view = await this.patiently(() => this.api.session(this.id));
    } catch (problem) {
      if (!(problem instanceof Refused)) throw problem;
      await this.begin();
      return this.patiently(() => this.api.open(this.id, image, true));
    }
    if (view && view.image === image) return view;
    this.close();
    throw new Error("Another window has taken this image over. Choose an image in the list.");
  }

  act(action: Action, pending: Pending | null): void {
    const { view, loading, map } = this.store.state;
    if (!view || !map || loading !== null) return;
    if (pending) this.pending.push(pending);
    const taken = this.queue.add(action, () => {
      this.pending = this.pending.filter((item) => item !== pending);
      this.host.redraw();
    });
    if (!taken) this.say("One moment: the last steps are still being worked on.");
    else if (!this.store.state.lost && this.store.state.message.kind === "error") this.say("");
    this.host.redraw();
  }

  private async receive(view: View): Promise<void> {
    const { map, mapVersion, view: before } = this.store.state;
    if (!map || !before || before.image !== view.image) return;
    const patch = await decodePatch(view.labels);
    // The user may have left the image while the patch was unpacked.
    if (this.store.state.map !== map) return;
    if (patch) {
      applyPatch(map, patch);
      this.host.viewerFor(view).repaint(isWhole(map, patch) ? null : patch);
    }
    this.store.set({ view, mapVersion: patch ? mapVersion + 1 : mapVersion, dirty: view.undo });
    this.painted(view);
  }

  private painted(view: View): void {
    requestAnimationFrame(() => {
      if (this.store.state.view === view) document.body.dataset.revision = String(view.revision);
    });
  }

  private async failed(problem: unknown): Promise<void> {
    this.problem(problem);
    if (!this.store.state.view) return;
    try {
      // A refusal may mean that page and server disagree; the server's word counts.
      const view = await this.resume();
      await this.receive(view);
    } catch (again) {
      this.problem(again);
    }
  }

  async open(name: string, options: { again?: boolean } = {}): Promise<void> {
    const { loading, view } = this.store.state;
    if (loading === name || (view?.image === name && loading === null && !options.again)) return;
    let finish = (): void => {};
    try {
      if (this.queue.busy) this.say("Finishing the last step first.");
      await this.queue.idle();
      const unsaved = this.store.state.dirty && view?.image !== name ? view?.image : undefined;
      this.leave(name);
      // Two requests at once could arrive in the other order; of several, only the newest is worth sending.
      const before = this.opening;
      this.opening = new Promise((resolve) => (finish = resolve));
      await before;
      if (this.store.state.loading !== name) return;
      let next: View;
      try {
        next = await this.patiently(() => this.api.open(this.id, name));
      } catch (problem) {
        if (!(problem instanceof Refused)) throw problem;
        if (problem.status === 404 && (await this.forgotten())) {
          next = await this.patiently(() => this.api.open(this.id, name, true));
        } else if (problem.status === 409) {
          const take = await this.host.ask("This image is open elsewhere", "Another window has it, perhaps one that you closed. If you take it over, that window can no longer change it; nothing that was drawn is lost.", "Take it over", "Leave it");
          if (!take) {
            this.stay(view);
            return this.say("Choose another image in the list.");
          }
          next = await this.patiently(() => this.api.open(this.id, name, true));
        } else throw problem;
      }
      if (this.store.state.loading !== name) return;
      await this.display(next).catch((problem: unknown) => {
        if (this.store.state.loading === name) this.close();
        throw problem;
      });
      if (unsaved) this.say(`${unsaved} keeps what you drew, but it is not in its mask file yet: go back and save it.`);
    } catch (problem) {
      if (this.store.state.loading === name) this.stay(this.store.state.view);
      this.problem(problem);
    } finally {
      finish();
    }
  }

  /** Whether the server does not know this session any more; then a new one begins. */
  private async forgotten(): Promise<boolean> {
    try {
      await this.api.session(this.id);
      return false;
    } catch (problem) {
      if (!(problem instanceof Refused)) throw problem;
      await this.begin();
      return true;
    }
  }

  private leave(name: string): void {
    this.loads?.abort();
    this.pending = [];
    document.body.dataset.ready = "false";
    this.store.set({ loading: name });
    this.say("");
  }

  /** Shows no image, where what is shown is no longer what the server holds. */
  private close(): void {
    this.pending = [];
    this.host.clear();
    document.body.dataset.ready = "false";
    this.store.set({ view: null, map: null, loading: null, dirty: false });
  }

  private stay(view: View | null): void {
    this.store.set({ loading: null });
    if (view) document.body.dataset.ready = "true";
  }

  private async display(view: View): Promise<void> {
    const loads = (this.loads = new AbortController());
    document.body.dataset.ready = "false";
    this.store.set({ loading: view.image });
    const map = emptyMap(view.size);
    const patch = await decodePatch(view.labels);
    if (patch) applyPatch(map, patch);
    const viewer = this.host.viewerFor(view);
    await this.patiently(() => viewer.load(view, map, loads.signal));
    if (loads.signal.aborted) return;
    const [low, high] = view.levels;
    const project = this.store.state.project;
    const images = project?.images.map((image) => (image.name === view.image && image.ndim === null ? { ...image, ndim: view.ndim } : image));
    this.store.set({
      view, map, loading: null, low, high, dirty: view.undo,
      mapVersion: this.store.state.mapVersion + 1,
      ...(project && images ? { project: { ...project, images } } : {}),
    });
    this.host.redraw();
    document.body.dataset.revision = String(view.revision);
    requestAnimationFrame(() => {
      if (this.store.state.view?.image === view.image && this.store.state.loading === null) document.body.dataset.ready = "true";
    });
  }

  async save(state: "done" | "doubt"): Promise<void> {
    await this.queue.idle();
    const { view, loading } = this.store.state;
    if (!view || loading !== null) return;
    this.store.set({ loading: view.image });
    try {
      const answer = await this.patiently(() => this.api.save(this.id, state, true));
      this.store.set({ dirty: false, loading: null });
      await this.refresh();
      if (answer.next !== null && answer.next !== view.image) {
        await this.open(answer.next);
        if (this.store.state.message.kind !== "error") this.say(`Saved ${answer.saved}. Now ${answer.next}.`);
      } else {
        this.store.set({ view: { ...view, state } });
        await this.open(view.image, { again: true });
        this.say(`Saved ${answer.saved}. No image is left to annotate.`);
      }
    } catch (problem) {
      this.store.set({ loading: null });
      this.problem(problem);
    }
  }

  async go(step: 1 | -1): Promise<void> {
    const { view, loading } = this.store.state;
    const name = neighbour(shownImages(this.store.state), loading ?? view?.image ?? null, step);
    if (name) await this.open(name);
    else this.say(step > 0 ? "This is the last image." : "This is the first image.");
  }

  /** Fetches the project again, for what jobs and saving changed in the list. */
  async refresh(): Promise<void> {
    const project = await this.patiently(() => this.api.project());
    this.store.set({ project, jobs: project.jobs });
  }
}
