// Sorting, filtering, highlighting and the theme. Every page is complete without it.
"use strict";

const THEME = "fedbench-theme";

function remembered() {
  try { return localStorage.getItem(THEME); } catch { return null; }
}

function remember(theme) {
  try { localStorage.setItem(THEME, theme); } catch { /* a browser may forbid it */ }
}

// At once, before anything is painted.
if (remembered()) document.documentElement.dataset.theme = remembered();

function themed(button) {
  const dark = () => document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  const show = () => button.setAttribute("aria-pressed", dark());
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    remember(document.documentElement.dataset.theme);
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  button.hidden = false;
  show();
}

// What a cell is sorted by: a number where it has one, else its text; nothing comes last.
function key(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.v ?? cell.textContent.trim().toLowerCase();
  const number = Number(text);
  return text === "" ? null : Number.isNaN(number) ? text : number;
}

function compare(a, b) {
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}

function sort(table, header) {
  const numeric = header.classList.contains("n");
  const before = header.getAttribute("aria-sort");
  const first = numeric && header.cellIndex > 0 ? "descending" : "ascending";
  const order = before === null ? first : before === "ascending" ? "descending" : "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  for (const body of table.tBodies) {
    const keyed = [...body.rows].map((row) => [key(row, header.cellIndex), row]);
    keyed.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : sign * compare(a, b)));
    body.append(...keyed.map(([, row]) => row));
  }
}

// Hides the rows of every table in the section that do not match. The fold of unranked rows is open while a filter
// matches some of them, and afterwards as it was before.
function filtered(controls) {
  const section = controls.closest("section");
  const fold = section.querySelector("details.unranked");
  const search = controls.querySelector("input");
  const level = controls.querySelector("select");
  const count = controls.querySelector("output");
  const rows = [...section.querySelectorAll("table.board tbody tr")];
  const texts = new Map(rows.map((row) => [row, row.querySelector("th").textContent.toLowerCase()]));
  let before = null;
  const update = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      row.hidden = !words.every((word) => texts.get(row).includes(word))
        || Number(row.dataset.level) < Number(level.value);
    }
    const shown = rows.filter((row) => !row.hidden);
    count.textContent = shown.length === rows.length ? `${rows.length} entries` : `${shown.length} of ${rows.length} entries`;
    if (fold === null) return;
    if (words.length || level.value !== "0") {
      before ??= fold.open;
      fold.open = shown.some((row) => fold.contains(row));
    } else if (before !== null) {
      fold.open = before;
      before = null;
    }
  };
  controls.addEventListener("input", update);
  controls.hidden = false;
  update();
}

// The row, the legend line and the lines in every picture that belong to one entry are highlighted together.
function pointing() {
  let lit = null;
  const light = (event) => {
    const series = event.target.closest?.("[data-series]")?.dataset.series ?? null;
    if (series === lit) return;
    lit = series;
    document.documentElement.classList.toggle("pointing", lit !== null);
    for (const old of document.querySelectorAll(".lit")) old.classList.remove("lit");
    if (lit === null) return;
    for (const same of document.querySelectorAll(`[data-series="${CSS.escape(lit)}"]`)) same.classList.add("lit");
  };
  document.addEventListener("pointerover", light);
  document.addEventListener("focusin", light);
}

function copying(button) {
  const text = button.parentElement.querySelector("code").textContent;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(button.parentElement.querySelector("code"));
      button.textContent = "Selected";
    }
  });
  button.hidden = false;
}

document.addEventListener("DOMContentLoaded", () => {
  themed(document.getElementById("theme"));
  for (const table of document.querySelectorAll("table.board")) {
    for (const button of table.tHead.querySelectorAll("button")) {
      button.addEventListener("click", () => sort(table, button.closest("th")));
    }
  }
  document.querySelectorAll(".controls").forEach(filtered);
  document.querySelectorAll(".copy").forEach(copying);
  pointing();
});
