import { find, make, setText } from "../dom.ts";
import type { PageState } from "../state.ts";
import type { Store } from "../store.ts";
import type { Job } from "../types.ts";

export interface LoopHost {
  start(job: { kind: "select"; k: number } | { kind: "learn"; method: string } | { kind: "presegment" }): void;
  cancel(job: Job): void;
}

const DOING: Record<string, string> = { select: "Selecting", learn: "Learning", presegment: "Pre-segmenting" };

/** Learns from few images and then needs no clicks, which is what the next step asks for. */
const FIRST = "promise2d";

export function running(jobs: readonly Job[]): Job | null {
  return jobs.find((job) => job.state === "running") ?? null;
}

export function jobText(job: Job): string {
  const amount = job.done !== null && job.of && !job.text ? `${job.done} of ${job.of}` : job.text;
  return `${DOING[job.kind] ?? job.kind}: ${amount || "starting"}`;
}

/** From a few masks to all: select, learn, pre-segment. */
export function loopPanel(store: Store<PageState>, host: LoopHost): void {
  const count = make("input", { type: "number", id: "select-count", min: 1, max: 1000, step: 1, value: "10", "aria-label": "How many images to select" });
  const select = make(
    "button",
    {
      type: "button", id: "select", "data-testid": "select", title: "Find the images whose masks would teach a model the most",
      onclick: () => host.start({ kind: "select", k: Math.max(1, Math.min(Number(count.max), Math.round(Number(count.value)) || 10)) }),
    },
    "Select what to annotate",
  );
  const methods = make("select", { id: "learn-method", "aria-label": "Method that learns" });
  const learn = make(
    "button",
    { type: "button", id: "learn", "data-testid": "learn", title: "Train a model on the images that are done", onclick: () => host.start({ kind: "learn", method: methods.value }) },
    "Learn from these",
  );
  const presegment = make(
    "button",
    { type: "button", id: "presegment", "data-testid": "presegment", title: "Let the model segment all images that nobody has worked on", onclick: () => host.start({ kind: "presegment" }) },
    "Pre-segment the rest",
  );
  const bar = make("progress", { "aria-label": "Progress" });
  const text = make("span");
  const cancel = make("button", { type: "button", id: "cancel-job", onclick: () => {
    const job = running(store.state.jobs);
    if (job) host.cancel(job);
  } }, "Cancel");
  const job = make("div", { id: "job", hidden: true }, bar, text, cancel);
  find("loop").append(
    make("div", { className: "step" }, select, count),
    make("div", { className: "step" }, learn, methods),
    make("div", { className: "step" }, presegment),
    job,
  );

  let known = "";
  store.watch(["project", "jobs", "lost"], (state) => {
    const active = running(state.jobs);
    const project = state.project;
    const learnable = project?.learnable ?? [];
    if (known !== learnable.join()) {
      known = learnable.join();
      methods.replaceChildren(...learnable.map((name) => make("option", { value: name }, name)));
      if (learnable.includes(FIRST)) methods.value = FIRST;
    }
    const off = !project || active !== null || state.lost;
    const done = project?.images.some((image) => image.state === "done") ?? false;
    const left = project?.images.filter((image) => image.state !== "done").length ?? 0;
    count.max = String(Math.max(1, left));
    if (Number(count.value) > left && left > 0) count.value = String(left);
    select.disabled = count.disabled = off || left === 0;
    learn.disabled = methods.disabled = off || learnable.length === 0 || !done;
    learn.title = learnable.length === 0 ? "No method here can learn" : done ? "Train a model on the images that are done" : "First save an image as done";
    presegment.disabled = off || left === 0 || !project.method.automatic;
    presegment.title = !project?.method.automatic
      ? "First learn from some images: the present method needs clicks"
      : left > 0 ? `Let ${project.method.name} segment all images that nobody has worked on` : "All images are done";
    job.hidden = active === null;
    if (!active) return;
    setText(text, jobText(active));
    text.title = active.text;
    if (active.done !== null && active.of) {
      bar.max = active.of;
      bar.value = active.done;
    } else bar.removeAttribute("value");
  });
}
