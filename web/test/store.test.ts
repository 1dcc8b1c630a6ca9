import { describe, expect, it } from "vitest";
import { Store } from "../src/store.ts";

describe("the store", () => {
  it("tells watchers at once and when their keys change", () => {
    const store = new Store({ a: 1, b: 2 });
    const seen: number[] = [];
    store.watch(["a"], (state) => seen.push(state.a));
    store.set({ b: 3 });
    store.set({ a: 5 });
    store.set({ a: 5 });
    expect(seen).toEqual([1, 5]);
  });

  it("announces several keys once", () => {
    const store = new Store({ a: 1, b: 2 });
    let calls = 0;
    store.watch(["a", "b"], () => calls++);
    store.set({ a: 9, b: 9 });
    expect(calls).toBe(2);
  });
});
