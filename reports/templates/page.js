"use strict";
// Everything here is an addition: without it the page shows the same, unsorted and without buttons.

const table = document.getElementById("case-table");
if (table) {
  makeSortable(table);
  makeFilterable(table);
}
document.querySelectorAll(".command button").forEach(makeCopy);

function makeSortable(table) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    button.addEventListener("click", () => sortBy(table, head, column));
    head.replaceChildren(button);
  });
}

function sortBy(table, head, column) {
  const down = head.getAttribute("aria-sort") === "ascending";
  table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => row.cells[column]?.dataset.sort ?? (row.cells[column]?.textContent ?? "").trim().replaceAll(",", "");
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => key(a).localeCompare(key(b), "en", { numeric: true }) * (down ? -1 : 1));
  table.tBodies[0].append(...rows);
}

function makeFilterable(table) {
  const tools = document.getElementById("case-tools");
  const text = tools.querySelector("input");
  const verdict = tools.querySelector("select");
  const shown = tools.querySelector("output");
  const apply = () => {
    let count = 0;
    for (const row of table.tBodies[0].rows) {
      const match = row.textContent.toLowerCase().includes(text.value.trim().toLowerCase());
      row.hidden = !match || (verdict.value !== "" && row.dataset.verdict !== verdict.value);
      count += row.hidden ? 0 : 1;
    }
    shown.textContent = `${count} of ${table.tBodies[0].rows.length} cases`;
  };
  text.addEventListener("input", apply);
  verdict.addEventListener("change", apply);
  tools.hidden = false;
  apply();
}

function makeCopy(button) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const code = button.parentElement.querySelector("code");
    // A page opened from a file may not have a clipboard: then select the command for the reader.
    const done = navigator.clipboard?.writeText(code.textContent) ?? Promise.reject(new Error("no clipboard"));
    done.then(() => say(button, "Copied"), () => { getSelection().selectAllChildren(code); say(button, "Selected"); });
  });
}

function say(button, word) {
  button.textContent = word;
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}
