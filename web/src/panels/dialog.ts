import { make } from "../dom.ts";
import { SHORTCUTS } from "../keys.ts";

function show(title: string, content: HTMLElement, ...buttons: HTMLButtonElement[]): HTMLDialogElement {
  const dialog = make(
    "dialog",
    { "aria-label": title },
    make("h2", {}, title),
    content,
    make("div", { className: "buttons" }, ...buttons),
  );
  dialog.addEventListener("close", () => dialog.remove());
  // Keys pressed in a dialog are not meant for the image behind it.
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

export function showShortcuts(): void {
  if (document.querySelector("dialog")) return;
  const close = make("button", { type: "button", className: "primary", onclick: () => dialog.close() }, "Close");
  const content = make(
    "div",
    { className: "columns" },
    ...SHORTCUTS.map(({ title, rows }) =>
      make(
        "section",
        {},
        make("h3", {}, title),
        make("dl", {}, ...rows.flatMap(([keys, meaning]) => [make("dt", {}, keys), make("dd", {}, meaning)])),
      ),
    ),
  );
  const dialog = show("Shortcuts", content, close);
  close.focus();
}

/** Asks a question; closing the dialog in any other way than by `yes` means no. */
export function ask(title: string, text: string, yes: string, no: string): Promise<boolean> {
  return new Promise((resolve) => {
    const confirm = make("button", { type: "button", onclick: () => dialog.close("yes") }, yes);
    const refuse = make("button", { type: "button", className: "primary", onclick: () => dialog.close("no") }, no);
    const dialog = show(title, make("p", {}, text), refuse, confirm);
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"));
    refuse.focus();
  });
}
