import type { Action } from "./types.ts";

/** Tells apart the actions that are worth waiting for from those that only the newest of counts. */
function replaces(newer: Action, older: Action): boolean {
  return newer.do === "move" && older.do === "move" && newer.index === older.index;
}

/**
 * Sends actions one at a time and in order, since each answer is a change against the answer before. A few may wait;
 * beyond that the newest are refused, because a user who is that far ahead no longer sees what they act on.
 */
export class ActionQueue<Answer> {
  private waiting: { action: Action; done: () => void }[] = [];
  private inFlight = false;

  constructor(
    private readonly send: (action: Action) => Promise<Answer>,
    private readonly receive: (answer: Answer, action: Action) => Promise<void> | void,
    private readonly fail: (problem: unknown, action: Action) => Promise<void> | void,
    private readonly changed: (action: Action | null) => void,
    private readonly limit = 6,
  ) {}

  get busy(): boolean {
    return this.inFlight || this.waiting.length > 0;
  }

  /** Whether the action was taken; `done` is called once it is answered, has failed or was dropped. */
  add(action: Action, done: () => void = () => {}): boolean {
    const last = this.waiting[this.waiting.length - 1];
    if (last && replaces(action, last.action)) {
      last.done();
      this.waiting[this.waiting.length - 1] = { action, done };
      return true;
    }
    if (this.waiting.length >= this.limit) {
      done();
      return false;
    }
    this.waiting.push({ action, done });
    void this.run();
    return true;
  }

  /** Forgets what waits; what is in flight still comes back. */
  drop(): void {
    const dropped = this.waiting;
    this.waiting = [];
    for (const entry of dropped) entry.done();
  }

  /** Resolves once nothing is in flight and nothing waits. */
  async idle(): Promise<void> {
    while (this.busy) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  private async run(): Promise<void> {
    if (this.inFlight) return;
    this.inFlight = true;
    try {
      for (let entry = this.waiting.shift(); entry; entry = this.waiting.shift()) {
        this.changed(entry.action);
        try {
          await this.receive(await this.send(entry.action), entry.action);
        } catch (problem) {
          // What waits was aimed at a state that never came about.
          this.drop();
          await this.fail(problem, entry.action);
        } finally {
          entry.done();
        }
      }
    } finally {
      this.inFlight = false;
      this.changed(null);
    }
  }
}
