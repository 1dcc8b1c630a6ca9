import { describe, expect, it } from "vitest";
import { ActionQueue } from "../src/queue.ts";
import type { Action } from "../src/types.ts";

const click = (x: number): Action => ({ do: "click", at: [x, 0], positive: true });

function setup(limit = 6) {
  const sent: Action[] = [];
  const answers: (() => void)[] = [];
  const log: string[] = [];
  let broken = false;
  const queue = new ActionQueue<number>(
    (action) => new Promise((resolve, reject) => {
      sent.push(action);
      answers.push(() => (broken ? reject(new Error("no")) : resolve(sent.length)));
    }),
    (answer) => void log.push(`got ${answer}`),
    (problem) => void log.push(`failed ${(problem as Error).message}`),
    (action) => void log.push(action ? "busy" : "free"),
    limit,
  );
  const tick = () => new Promise((resolve) => setTimeout(resolve, 0));
  return {
    queue, sent, log,
    breakDown: () => (broken = true),
    async answer() {
      answers.shift()!();
      await tick();
    },
  };
}

describe("the queue of actions", () => {
  it("has one request in flight and keeps the order", async () => {
    const { queue, sent, answer } = setup();
    queue.add(click(1));
    queue.add(click(2));
    queue.add({ do: "undo" });
    expect(sent).toHaveLength(1);
    await answer();
    expect(sent).toHaveLength(2);
    await answer();
    await answer();
    expect(sent.map((action) => action.do)).toEqual(["click", "click", "undo"]);
    expect(queue.busy).toBe(false);
  });

  it("sends only the newest place of a point that is moved", async () => {
    const { queue, sent, answer } = setup();
    let done = 0;
    queue.add(click(1));
    for (const x of [1, 2, 3]) queue.add({ do: "move", index: 0, to: [x, 0] }, () => done++);
    queue.add({ do: "move", index: 1, to: [9, 0] });
    await answer();
    await answer();
    await answer();
    expect(sent.slice(1)).toEqual([{ do: "move", index: 0, to: [3, 0] }, { do: "move", index: 1, to: [9, 0] }]);
    expect(done).toBe(3);
  });

  it("refuses more than may wait", () => {
    const { queue } = setup(2);
    expect([1, 2, 3, 4].map((x) => queue.add(click(x)))).toEqual([true, true, true, false]);
  });

  it("drops what waits when an action fails, and works again afterwards", async () => {
    const { queue, sent, log, breakDown, answer } = setup();
    let done = 0;
    queue.add(click(1), () => done++);
    queue.add(click(2), () => done++);
    breakDown();
    await answer();
    expect(sent).toHaveLength(1);
    expect(done).toBe(2);
    expect(log).toEqual(["busy", "failed no", "free"]);
    queue.add(click(3));
    expect(sent).toHaveLength(2);
  });

  it("tells when it is idle", async () => {
    const { queue, answer } = setup();
    queue.add(click(1));
    let idle = false;
    const waited = queue.idle().then(() => (idle = true));
    expect(idle).toBe(false);
    await answer();
    await waited;
    expect(idle).toBe(true);
  });
});
