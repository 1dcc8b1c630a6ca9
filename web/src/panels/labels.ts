import { make } from "../dom.ts";
import { addLabel, changeLabel } from "../labels.ts";
import type { PageState } from "../state.ts";
import type { Store } from "../store.ts";
import type { Label } from "../types.ts";

export interface LabelsHost {
  pick(value: number): void;
  /** Gives whether the server took the labels. */
  change(labels: Label[]): Promise<boolean>;
}

export function labelsPanel(store: Store<PageState>, host: LabelsHost): HTMLElement {
  let editing: number | null = null;
  const list = make("ul", { id: "labels", "data-testid": "labels", "aria-labelledby": "labels-title" });
  const labels = (): Label[] => store.state.project?.labels ?? [];

  async function finish(value: number, name: string): Promise<void> {
    if (editing !== value) return;
    editing = null;
    const changed = changeLabel(labels(), value, { name });
    if (changed) await host.change(changed);
    draw();
    list.querySelector<HTMLElement>(`[data-value="${value}"] .pick`)?.focus();
  }

  function edit(value: number): void {
    editing = value;
    draw();
    const field = list.querySelector<HTMLInputElement>("input[type=text]");
    field?.focus();
    field?.select();
  }

  async function add(): Promise<void> {
    const made = addLabel(labels());
    if (made && (await host.change(made.labels))) {
      host.pick(made.added.value);
      edit(made.added.value);
    }
  }

  function row(label: Label, index: number, active: number): HTMLLIElement {
    const { value, name, colour } = label;
    const swatch = make("input", {
      type: "color", value: colour, title: `Colour of ${name}`, "aria-label": `Colour of ${name}`,
      onchange: () => {
        const changed = changeLabel(labels(), value, { colour: swatch.value });
        if (changed) void host.change(changed);
      },
    });
    const element = make("li", { className: value === active ? "label active" : "label", "data-value": String(value) }, swatch);
    if (editing === value) {
      const field = make("input", {
        type: "text", value: name, maxLength: 60, "aria-label": "Name of the label",
        onkeydown: (event: KeyboardEvent) => {
          if (event.key === "Enter") void finish(value, field.value);
          else if (event.key === "Escape") void finish(value, name);
          else return;
          event.preventDefault();
          event.stopPropagation();
        },
        onblur: () => void finish(value, field.value),
      });
      element.append(
        field,
        make("button", {
          type: "button", className: "icon", title: `Remove ${name}`, "aria-label": `Remove ${name}`,
          // The field's blur would redraw the list before the click arrives.
          onpointerdown: (event: Event) => event.preventDefault(),
          onclick: () => {
            editing = null;
            void host.change(labels().filter((other) => other.value !== value)).then(draw);
          },
        }, "✕"),
      );
      return element;
    }
    element.append(
      make(
        "button",
        {
          type: "button", className: "pick", "aria-pressed": String(value === active), title: `Draw ${name}`,
          onclick: () => host.pick(value), ondblclick: () => edit(value),
        },
        make("span", {}, name),
        index < 9 ? make("kbd", { "aria-hidden": "true" }, String(index + 1)) : null,
      ),
      make("span"),
      make("button", { type: "button", className: "icon", title: `Rename ${name}`, "aria-label": `Rename ${name}`, onclick: () => edit(value) }, "✎"),
    );
    return element;
  }

  function draw(): void {
    const active = store.state.view?.label ?? labels()[0]?.value ?? 0;
    const focused = list.contains(document.activeElement) ? (document.activeElement as HTMLElement).closest<HTMLElement>("[data-value]")?.dataset.value : undefined;
    list.replaceChildren(...labels().map((label, index) => row(label, index, active)));
    if (focused !== undefined && editing === null) list.querySelector<HTMLElement>(`[data-value="${focused}"] .pick`)?.focus();
  }

  let before = "";
  store.watch(["project", "view"], (state) => {
    const now = JSON.stringify([state.project?.labels, state.view?.label]);
    if (now === before || editing !== null) return;
    before = now;
    draw();
  });
  return make(
    "section",
    { className: "group" },
    make(
      "div",
      { className: "head" },
      make("h2", { id: "labels-title" }, "Labels"),
      make("button", { type: "button", id: "add-label", onclick: () => void add() }, "+ Add"),
    ),
    list,
  );
}
