// Sorting, filtering, pointing and the theme. Without it every page still says everything.
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

function filtered(controls) {
  const table = document.getElementById(controls.dataset.table);
  const [search, unranked] = controls.querySelectorAll("input");
  const level = controls.querySelector("select");
  const said = controls.querySelector("output");
  const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
  const texts = new Map(rows.map((row) => [row, row.querySelector("th").textContent.toLowerCase()]));
  const update = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      row.hidden = !words.every((word) => texts.get(row).includes(word))
        || Number(row.dataset.level) < Number(level.value)
        || (!unranked.checked && row.parentElement.classList.contains("unranked"));
      shown += !row.hidden;
    }
    said.textContent = shown === rows.length ? `${rows.length} entries` : `${shown} of ${rows.length} entries`;
  };
  controls.addEventListener("input", update);
  controls.hidden = false;
  update();
}

// A row, a legend's line and the lines of every picture that are about one entry light up together.
function pointing() {
  let lit = null;
  const light = (event) => {
    const found = event.target.closest?.("[data-series]")?.dataset.series ?? null;
    if (found === lit) return;
    lit = found;
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
