/** A value whose parts are set together and announced once. */
export class Store<State extends object> {
  private listeners = new Set<(state: State, before: State) => void>();

  constructor(private value: State) {}

  get state(): Readonly<State> {
    return this.value;
  }

  set(change: Partial<State>): void {
    const before = this.value;
    const keys = Object.keys(change) as (keyof State)[];
    if (keys.every((key) => Object.is(before[key], change[key]))) return;
    this.value = { ...before, ...change };
    for (const listener of this.listeners) listener(this.value, before);
  }

  /** Calls `listener` now and whenever one of `keys` changes. */
  watch<Key extends keyof State>(keys: readonly Key[], listener: (state: Readonly<State>) => void): void {
    this.listeners.add((state, before) => {
      if (keys.some((key) => !Object.is(state[key], before[key]))) listener(state);
    });
    listener(this.value);
  }
}
