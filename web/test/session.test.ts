import { deflateSync } from "node:zlib";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { type Api, Refused, Unreachable } from "../src/api.ts";
import { Session } from "../src/session.ts";
import { INITIAL, type PageState } from "../src/state.ts";
import { Store } from "../src/store.ts";
import type { Action, View } from "../src/types.ts";

const body = { dataset: {} as Record<string, string> };

beforeEach(() => {
  body.dataset = {};
  const kept = new Map<string, string>();
  vi.stubGlobal("document", { body, title: "" });
  vi.stubGlobal("requestAnimationFrame", (call: () => void) => setTimeout(call, 0));
  vi.stubGlobal("sessionStorage", { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => kept.set(key, value), removeItem: (key: string) => kept.delete(key) });
});

function view(revision: number, values = [0, 0, 0, 0], image = "a"): View {
  return {
    image, ndim: 2, size: [2, 2], spacing: [1, 1], unit: "px", levels: [0, 255], range: [0, 255], state: "open", label: 1, revision,
    prompts: { points: [], box: null }, object: true, undo: revision > 1, redo: false, quality: null, milliseconds: 1,
    labels: { start: [0, 0], size: [2, 2], data: deflateSync(Uint8Array.from(values)).toString("base64") },
  };
}

const click: Action = { do: "click", at: [1, 1], positive: true };
const entry = (name: string) => ({ name, ndim: 2 as const, state: "open" as const, by: null, confidence: null, flags: [], chosen: null });

async function setup(api: Partial<Api>) {
  const store = new Store<PageState>(INITIAL);
  const shown: string[] = [];
  let answer = true;
  const all = {
    project: async () => ({ title: "t", version: "1", labels: [], images: [entry("a"), entry("b")], method: { name: "m", accepts: [], automatic: false, classes: [] }, learnable: [], jobs: [] }),
    newSession: async () => "s1",
    jobs: async () => [],
    open: async (_: string, image: string) => view(1, [0, 0, 0, 0], image),
    ...api,
  } as unknown as Api;
  const viewer = { load: async (loaded: View) => void shown.push(loaded.image), repaint: () => {} };
  const session = new Session(all, store, { viewerFor: () => viewer as never, ask: async () => answer, redraw: () => {}, clear: () => shown.push("nothing") });
  await session.start();
  const settled = async () => {
    await session.queue.idle();
    await new Promise((resolve) => setTimeout(resolve, 5));
  };
  return { session, store, shown, settled, refuse: () => (answer = false) };
}

describe("a session", () => {
  it("opens the first image and tells when it is displayed", async () => {
    const { store, settled } = await setup({});
    await settled();
    expect(store.state.view?.image).toBe("a");
    expect(body.dataset).toMatchObject({ ready: "true", revision: "1" });
  });

  it("paints what an action changes", async () => {
    const { session, store, settled } = await setup({ act: async () => view(2, [0, 1, 0, 1]) });
    session.act(click, { kind: "point", at: [1, 1], positive: true });
    expect(session.pending).toHaveLength(1);
    await settled();
    expect([...store.state.map!.data]).toEqual([0, 1, 0, 1]);
    expect(session.pending).toHaveLength(0);
    expect(body.dataset.revision).toBe("2");
  });

  it("sends an action again that never arrived", async () => {
    let calls = 0;
    const { session, store, settled } = await setup({
      act: async () => {
        if (++calls === 1) throw new Unreachable();
        return view(2, [1, 0, 0, 0]);
      },
      session: async () => view(1),
    });
    session.act(click, null);
    await settled();
    expect(calls).toBe(2);
    expect(store.state.map!.data[0]).toBe(1);
    expect(store.state.lost).toBe(false);
  });

  it("does not send an action again of which only the answer was lost", async () => {
    let calls = 0;
    const { session, store, settled } = await setup({
      act: async () => {
        calls++;
        throw new Unreachable();
      },
      session: async () => view(2, [1, 1, 0, 0]),
    });
    session.act(click, null);
    await settled();
    expect(calls).toBe(1);
    expect([...store.state.map!.data]).toEqual([1, 1, 0, 0]);
  });

  it("shows a refusal and takes the server's view", async () => {
    const { session, store, settled } = await setup({
      act: async () => { throw new Refused(400, "Nothing to follow.", "Click first."); },
      session: async () => view(1, [0, 0, 1, 0]),
    });
    session.act(click, null);
    await settled();
    expect(store.state.message).toEqual({ text: "Nothing to follow. Click first.", kind: "error" });
    expect(store.state.map!.data[2]).toBe(1);
  });

  it("lets go of an image that another window took", async () => {
    const { session, store, shown, settled } = await setup({
      act: async () => { throw new Refused(400, "No image is open.", ""); },
      session: async () => null,
    });
    session.act(click, null);
    await settled();
    expect(store.state.view).toBeNull();
    expect(shown.at(-1)).toBe("nothing");
    expect(store.state.message.text).toContain("taken this image over");
  });

  it("asks before it takes an image from another window", async () => {
    const open = async (_: string, image: string, take = false) => {
      if (image === "b" && !take) throw new Refused(409, "Taken.", "");
      return view(1, [0, 0, 0, 0], image);
    };
    const first = await setup({ open });
    await first.session.open("b");
    expect(first.store.state.view?.image).toBe("b");
    sessionStorage.removeItem("promisam.session");
    const second = await setup({ open });
    second.refuse();
    await second.session.open("b");
    expect(second.store.state.view?.image).toBe("a");
    expect(second.store.state.loading).toBeNull();
  });

  it("sends only the newest of several images asked for at once", async () => {
    const asked: string[] = [];
    const { session, store } = await setup({
      open: async (_: string, image: string) => {
        asked.push(image);
        await new Promise((resolve) => setTimeout(resolve, 10));
        return view(1, [0, 0, 0, 0], image);
      },
    });
    const first = session.open("b");
    await new Promise((resolve) => setTimeout(resolve, 2));
    await Promise.all([first, session.open("c"), session.open("d")]);
    expect(asked).toEqual(["a", "b", "d"]);
    expect(store.state.view?.image).toBe("d");
  });

  it("shows no image where loading one failed after the server had turned to it", async () => {
    const { session, store } = await setup({ open: async (_: string, image: string) => ({ ...view(1, [0, 0, 0, 0], image), ...(image === "b" ? { labels: { start: [0, 0], size: [2, 2], data: "AAAA" } } : {}) }) });
    await session.open("b");
    expect(store.state.view).toBeNull();
    expect(store.state.message.kind).toBe("error");
  });

  it("goes on to the image that saving names", async () => {
    const { session, store } = await setup({ save: async () => ({ saved: "masks/a.png", next: "b" }) });
    await session.save("done");
    expect(store.state.view?.image).toBe("b");
    expect(store.state.message.text).toBe("Saved masks/a.png. Now b.");
  });
});
