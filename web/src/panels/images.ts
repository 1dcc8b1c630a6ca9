import { find, make, setText } from "../dom.ts";
import { counts, filterImages, type Order, sortImages } from "../order.ts";
import type { PageState } from "../state.ts";
import type { Store } from "../store.ts";
import type { ImageEntry } from "../types.ts";

export interface ImagesHost {
  open(name: string): void;
  thumbnail(name: string): string;
}

const STATE = { open: "Open", doubt: "In doubt", done: "Done" } as const;
const SIGN = { open: "○", doubt: "?", done: "✓" } as const;

/** The images in the order that is shown, which is also what "next" goes by. */
export function shownImages(state: Readonly<PageState>): ImageEntry[] {
  return sortImages(filterImages(state.project?.images ?? [], state.filter), state.order);
}

function described(image: ImageEntry): string {
  const percent = image.confidence === null ? "" : ` ${Math.round(image.confidence * 100)} %`;
  if (image.state === "doubt" && image.by === "model") return `By model${percent}`;
  return STATE[image.state];
}

export function imagesPanel(store: Store<PageState>, host: ImagesHost): void {
  const items = new Map<string, HTMLLIElement>();
  const list = make("ul", { id: "images", role: "listbox", "data-testid": "images", "aria-label": "Images" });
  const progress = make("progress", { max: 1, value: 0, "aria-labelledby": "progress-text" });
  const progressText = make("p", { id: "progress-text" });
  const order = make(
    "select",
    { id: "order", onchange: () => store.set({ order: order.value as Order }) },
    make("option", { value: "name" }, "Name"),
    make("option", { value: "doubt" }, "Most in doubt"),
    make("option", { value: "chosen" }, "Selected first"),
  );
  const filter = make("input", {
    type: "search", placeholder: "Find an image", "aria-label": "Find an image",
    oninput: () => store.set({ filter: filter.value }),
  });
  find("list").append(
    make(
      "div",
      { className: "top" },
      progressText,
      progress,
      filter,
      make("div", { className: "row" }, make("label", { htmlFor: "order" }, "Sort"), order),
    ),
    list,
  );

  function item(image: ImageEntry): HTMLLIElement {
    let element = items.get(image.name);
    if (!element) {
      const picture = make("img", { alt: "", loading: "lazy", decoding: "async", src: host.thumbnail(image.name), width: 52, height: 52 });
      // A broken thumbnail must not look like a broken image.
      picture.addEventListener("error", () => (picture.style.visibility = "hidden"), { once: true });
      element = make(
        "li",
        { className: "image", role: "option", tabIndex: -1, title: image.name },
        picture,
        make("div", { style: "min-width:0" }, make("span", { className: "name" }, image.name), make("span", { className: "state" })),
      );
      element.dataset.name = image.name;
      items.set(image.name, element);
    }
    const state = element.querySelector<HTMLElement>(".state")!;
    const text = `${SIGN[image.state]} ${described(image)}`;
    const key = `${text}|${image.flags.join()}|${image.chosen}|${image.state}`;
    if (state.dataset.key !== key) {
      state.dataset.key = key;
      state.className = `state ${image.state}`;
      state.replaceChildren(text);
      if (image.flags.length) state.append(make("span", { title: image.flags.join("; ") }, "⚑"), make("span", { className: "hidden" }, image.flags.join("; ")));
      if (image.chosen !== null) state.append(make("span", { className: "chosen", title: "Selected to annotate" }, `#${image.chosen}`));
    }
    return element;
  }

  function focusOn(element: Element | null | undefined): void {
    if (!(element instanceof HTMLElement)) return;
    for (const other of items.values()) other.tabIndex = -1;
    element.tabIndex = 0;
    element.focus();
  }

  list.addEventListener("click", (event) => {
    const name = (event.target as Element).closest<HTMLElement>(".image")?.dataset.name;
    if (name) host.open(name);
  });
  list.addEventListener("keydown", (event) => {
    const current = (event.target as Element).closest(".image");
    if (event.key === "ArrowDown") focusOn(current?.nextElementSibling);
    else if (event.key === "ArrowUp") focusOn(current?.previousElementSibling);
    else if (event.key === "Home") focusOn(list.firstElementChild);
    else if (event.key === "End") focusOn(list.lastElementChild);
    else if ((event.key === "Enter" || event.key === " ") && current) host.open((current as HTMLElement).dataset.name!);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  store.watch(["project", "order", "filter"], (state) => {
    order.value = state.order;
    const shown = shownImages(state);
    const wanted = shown.map(item);
    const now = [...list.children];
    if (wanted.length !== now.length || wanted.some((element, i) => element !== now[i])) list.replaceChildren(...wanted);
    if (state.project && shown.length === 0) {
      list.replaceChildren(make("li", { className: "nothing" }, state.filter ? "No image has this name." : "This folder has no images."));
    }
    const images = state.project?.images ?? [];
    const { done, doubt } = counts(images);
    setText(progressText, `${done} of ${images.length} done${doubt ? `, ${doubt} in doubt` : ""}`);
    progress.max = Math.max(1, images.length);
    progress.value = done;
  });
  let shown: string | null = null;
  store.watch(["view", "loading", "project", "order", "filter"], (state) => {
    const current = state.loading ?? state.view?.image ?? null;
    let focusable = false;
    for (const [name, element] of items) {
      const selected = name === current;
      if (element.getAttribute("aria-selected") !== String(selected)) element.setAttribute("aria-selected", String(selected));
      element.tabIndex = selected ? 0 : -1;
      focusable ||= selected && element.isConnected;
    }
    if (!focusable && list.firstElementChild instanceof HTMLElement) list.firstElementChild.tabIndex = 0;
    if (current !== shown) items.get((shown = current) ?? "")?.scrollIntoView({ block: "nearest" });
  });
}
