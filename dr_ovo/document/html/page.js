"use strict";

// Sorts by raw values, not by what is shown; cells without a value stay last, both ways.
function compared(column, numeric, sign) {
  return (one, other) => {
    const [a, b] = [one, other].map((row) => row.cells[column].dataset.value);
    if (a === "" || b === "") return Number(a === "") - Number(b === "");
    return sign * (numeric ? Number(a) - Number(b) : a.localeCompare(b, "en", { numeric: true }));
  };
}

function sortBy(table, headers, header) {
  const ascending = header.getAttribute("aria-sort") !== "ascending";
  for (const other of headers) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const numeric = header.classList.contains("number");
  const rows = [...table.tBodies[0].rows];
  rows.sort(compared(header.cellIndex, numeric, ascending ? 1 : -1));
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll("table")) {
  const headers = [...table.tHead.rows[0].cells];
  for (const header of headers) {
    header.querySelector("button").addEventListener("click", () => sortBy(table, headers, header));
  }
}

// A box that scrolls must be reachable by keyboard, one that doesn't need not be.
function markScrolling() {
  for (const box of document.querySelectorAll(".scroll")) {
    if (box.scrollWidth > box.clientWidth) box.setAttribute("tabindex", "0");
    else box.removeAttribute("tabindex");
  }
}
addEventListener("load", markScrolling);
addEventListener("resize", markScrolling);
addEventListener("toggle", markScrolling, true);
