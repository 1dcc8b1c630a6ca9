import { make, setText } from "../dom.ts";
import type { Command } from "../keys.ts";
import type { PageState } from "../state.ts";
import type { Store } from "../store.ts";
import type { Tool } from "../types.ts";
import type { Layout } from "../viewer.ts";

export interface ControlsHost {
  run(command: Command): void;
  empty(): void;
  resetLevels(): void;
  range(): [number, number];
}

const TOOLS: [Tool, string, string, string][] = [
  ["click", "Click", "C", "Click on the object, or drag a box around it"],
  ["scribble", "Scribble", "R", "Draw a line over the object"],
  ["brush", "Brush", "B", "Paint by hand"],
  ["eraser", "Eraser", "E", "Erase by hand"],
  ["look", "Look", "L", "Move without marking"],
];

export const BRUSH = { least: 1, most: 60 };

function key(text: string): HTMLElement {
  return make("kbd", { "aria-hidden": "true" }, text);
}

/** Tools, actions, saving and display settings. */
export function controlsPanel(store: Store<PageState>, host: ControlsHost): HTMLElement[] {
  const button = (id: string, text: string, shortcut: string, title: string, command: Command, kind = ""): HTMLButtonElement =>
    make("button", { type: "button", id, "data-testid": id, className: kind, title: `${title} (${shortcut})`, "aria-keyshortcuts": shortcut.replace("Ctrl", "Control"), onclick: () => host.run(command) }, make("span", {}, text), key(shortcut));

  const tools = TOOLS.map(([tool, text, shortcut, title]) => {
    const element = button(`tool-${tool}`, text, shortcut, title, { do: "tool", tool });
    store.watch(["tool"], (state) => element.setAttribute("aria-pressed", String(state.tool === tool)));
    return element;
  });

  const slider = (id: string, text: string, options: Record<string, unknown>, input: (value: number) => void): { row: HTMLElement; field: HTMLInputElement; out: HTMLOutputElement } => {
    const field = make("input", { type: "range", id, ...options, oninput: () => input(Number(field.value)) });
    const out = make("output", { htmlFor: id });
    return { row: make("label", { className: "slide" }, make("span", {}, text), field, out), field, out };
  };

  const size = slider("brush-size", "Size", { min: BRUSH.least, max: BRUSH.most, step: 0.5 }, (radius) => store.set({ radius }));
  store.watch(["radius", "tool"], (state) => {
    size.field.value = String(state.radius);
    setText(size.out, String(state.radius));
    size.row.hidden = state.tool !== "brush" && state.tool !== "eraser";
  });

  const undo = button("undo", "Undo", "Ctrl+Z", "Undo", { do: "undo" });
  const redo = button("redo", "Redo", "Ctrl+Y", "Redo", { do: "redo" });
  const accept = button("accept", "Accept", "Enter", "The object is right; the next click begins another", { do: "accept" });
  const clear = button("clear", "Clear", "Esc", "Start this object again", { do: "clear" });
  const suggest = button("suggest", "Suggest", "A", "Let the model propose a mask", { do: "suggest" });
  const follow = button("follow", "Follow", "F", "Follow the object through the other slices", { do: "follow" });
  const empty = make("button", { type: "button", id: "remove-all", title: "Remove everything of the active label from this image", onclick: () => host.empty() }, make("span", {}, "Erase all"));
  const done = button("save", "Save & next", "S", "Save as done and go to the next image", { do: "save", state: "done" }, "primary");
  const doubt = button("doubt", "In doubt", "D", "Save for a second look and go to the next image", { do: "save", state: "doubt" });
  store.watch(["view", "project", "loading", "lost"], (state) => {
    const { view } = state;
    const off = !view || state.loading !== null || state.lost;
    undo.disabled = off || !view.undo;
    redo.disabled = off || !view.redo;
    accept.disabled = clear.disabled = off || !view.object;
    empty.disabled = done.disabled = doubt.disabled = off;
    suggest.hidden = !state.project?.method.automatic;
    suggest.disabled = off;
    follow.hidden = view?.ndim !== 3;
    follow.disabled = off || !view.object;
  });

  const opacity = slider("opacity", "Mask", { min: 0, max: 100, step: 1 }, (value) => store.set({ opacity: value / 100, masked: true }));
  const low = slider("low", "Black", {}, (value) => store.set({ low: Math.min(value, store.state.high) }));
  const high = slider("high", "White", {}, (value) => store.set({ high: Math.max(value, store.state.low) }));
  const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 4, useGrouping: false });
  store.watch(["low", "high", "view", "loading"], (state) => {
    const [least, most] = host.range();
    for (const { field, out } of [low, high]) {
      field.min = String(least);
      field.max = String(most);
      field.step = most - least >= 50 ? "1" : "any";
      field.disabled = !state.view;
      const value = field === low.field ? state.low : state.high;
      field.value = String(value);
      setText(out, number.format(Math.abs(value) < 1e-9 ? 0 : value));
    }
  });
  const mask = make("input", { type: "checkbox", id: "mask", title: "Show mask (H)", onchange: () => host.run({ do: "mask" }) });
  const smooth = make("input", { type: "checkbox", id: "smooth", onchange: () => store.set({ smooth: smooth.checked }) });
  const radiological = make("input", { type: "checkbox", id: "radiological", onchange: () => store.set({ radiological: radiological.checked }) });
  const layout = make(
    "select",
    { id: "layout", "aria-label": "Planes", onchange: () => store.set({ layout: layout.value as Layout }) },
    make("option", { value: "auto" }, "Automatic"),
    make("option", { value: "all" }, "Planes and 3-D"),
    make("option", { value: "flat" }, "Planes only"),
    make("option", { value: "z" }, "Axial large"),
    make("option", { value: "y" }, "Coronal large"),
    make("option", { value: "x" }, "Sagittal large"),
    make("option", { value: "3d" }, "3-D only"),
  );
  const flip = make("label", { className: "check" }, radiological, "Patient's right on the left");
  const planes = make("label", { className: "slide", style: "grid-template-columns:68px 1fr" }, make("span", {}, "Planes"), layout);
  store.watch(["opacity", "masked", "smooth", "radiological", "layout", "view"], (state) => {
    opacity.field.value = String(Math.round(state.opacity * 100));
    setText(opacity.out, `${Math.round(state.opacity * 100)} %`);
    mask.checked = state.masked;
    smooth.checked = state.smooth;
    radiological.checked = state.radiological;
    layout.value = state.layout;
    flip.hidden = planes.hidden = state.view?.ndim !== 3;
  });

  const group = (title: string, ...content: HTMLElement[]): HTMLElement => make("section", { className: "group", "aria-label": title }, make("h2", {}, title), ...content);
  return [
    group("Tools", make("div", { className: "tools" }, ...tools), size.row),
    group("Object", make("div", { className: "pair" }, accept, clear, undo, redo, suggest, follow, empty)),
    make("section", { className: "group", "aria-label": "Save" }, make("div", { className: "pair save" }, done, doubt)),
    make(
      "section",
      { className: "group", "aria-label": "Display" },
      make(
        "div",
        { className: "head" },
        make("h2", {}, "Display"),
        make("button", { type: "button", id: "fit", title: "Fit to the window, original levels (0)", onclick: () => (host.run({ do: "fit" }), host.resetLevels()) }, "Reset"),
      ),
      planes,
      opacity.row,
      low.row,
      high.row,
      make("div", { className: "pair" },
        make("label", { className: "check" }, mask, "Show mask"),
        make("label", { className: "check" }, smooth, "Smooth pixels"),
      ),
      flip,
    ),
  ];
}
