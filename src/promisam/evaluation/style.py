"""Style and behaviour of the page, which stand inside it."""

CSS = """
:root { color-scheme: light; --ink: #1a1a1a; --soft: #555; --line: #c9c9c9; --band: #f3f4f6; --bad: #8a1c1c; --bar: #0072b2; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: #fff; }
body { max-width: 1120px; margin: 0 auto; padding: 24px; }
h1 { font-size: 1.6rem; margin: 0 0 4px; }
h2 { font-size: 1.2rem; margin: 32px 0 8px; }
details { margin-top: 8px; }
p.soft, figcaption, .soft { color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: 5px 8px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { background: var(--band); vertical-align: bottom; white-space: normal; }
th.text, td.text { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 8em; }
.sortable td { white-space: normal; padding: 5px 6px; }
th button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; text-align: inherit; }
th button:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px; }
th[aria-sort=ascending] button::after { content: " \\25B2"; }
th[aria-sort=descending] button::after { content: " \\25BC"; }
tr.failed td { color: var(--bad); }
.failures, .warnings { border: 2px solid var(--bad); border-radius: 6px; padding: 4px 16px 12px; margin: 20px 0; }
.failures h2, .warnings h2 { color: var(--bad); margin-top: 8px; }
.failures li, .warnings li { overflow-wrap: anywhere; }
.note { border-left: 4px solid var(--bar); padding-left: 12px; }
.row { display: grid; gap: 20px; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); align-items: start; }
figure { margin: 0; max-width: 480px; }
figure img { width: 100%; height: auto; background: #000; border: 1px solid var(--line); display: block; }
figcaption { overflow-wrap: anywhere; }
.histogram { width: 100%; height: auto; }
.histogram rect { fill: var(--bar); }
.histogram path { fill: none; stroke: var(--ink); }
.histogram text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.key { display: inline-block; width: 28px; height: 0; vertical-align: middle; margin: 0 6px 0 16px; border-top-style: solid; }
.key:first-child { margin-left: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; font-size: .9rem; }
dt { font-weight: 600; }
dd { margin: 0; overflow-wrap: anywhere; }
@media print {
  html { font-size: 11px; }
  body { max-width: none; padding: 0; font-size: 1rem; }
  .scroll { overflow: visible; }
  table { font-size: 9px; }
  th, td { padding: 2px 4px; }
  th.text, td.text { min-width: 8em; }
  h2, section > p { break-after: avoid; }
  .screen { display: none; }
  thead { display: table-header-group; }
  tr, figure { break-inside: avoid; }
  .row { grid-template-columns: repeat(3, 1fr); }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

# Sorts a table by a column on a click on its heading: numbers by size, the rest by name, undefined ones always last.
SCRIPT = """
for (const button of document.querySelectorAll("table.sortable th button")) {
  button.addEventListener("click", () => {
    const heading = button.closest("th");
    const column = [...heading.parentNode.children].indexOf(heading);
    const descending = heading.getAttribute("aria-sort") === "ascending";
    for (const other of heading.parentNode.children) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const body = heading.closest("table").tBodies[0];
    const value = (row) => row.cells[column].dataset.value;
    const numeric = heading.dataset.kind === "number";
    const compare = (a, b) => numeric ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true });
    const rows = [...body.rows].sort((left, right) => {
      const [a, b] = [value(left), value(right)];
      if (a === "" || b === "") return (a === "") - (b === "");
      if (a === b) return 0;
      return descending ? compare(b, a) : compare(a, b);
    });
    body.append(...rows);
  });
}
"""
