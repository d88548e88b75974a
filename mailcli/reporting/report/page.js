"use strict";

// A click on the head of a column sorts the rows of each group: first the best way round, then the other, then as made.
function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const original = new Map([...table.tBodies].map((body) => [body, [...body.rows]]));
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    const orders = column ? ["descending", "ascending"] : ["ascending", "descending"];
    button.addEventListener("click", () => {
      const order = orders[orders.indexOf(head.getAttribute("aria-sort")) + 1];
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (order) head.setAttribute("aria-sort", order);
      for (const [body, rows] of original) body.append(...(order ? sorted(rows, column, order) : rows));
    });
  });
}

// Headings stay first, and rows without a value last.
function sorted(rows, column, order) {
  const headings = rows.filter((row) => row.classList.contains("group"));
  const others = rows.filter((row) => !row.classList.contains("group"));
  const key = (row) => {
    const cell = row.cells[column];
    return cell.dataset.key === undefined ? cell.textContent.trim() : Number(cell.dataset.key);
  };
  const hasNumbers = others.some((row) => typeof key(row) === "number");
  const isMissing = (row) => (hasNumbers ? typeof key(row) !== "number" : ["", "-"].includes(key(row)));
  const compare = (a, b) => (hasNumbers ? key(a) - key(b) : key(a).localeCompare(key(b), "en", { numeric: true }));
  const sign = order === "ascending" ? 1 : -1;
  const present = others.filter((row) => !isMissing(row)).sort((a, b) => sign * compare(a, b));
  return [...headings, ...present, ...others.filter(isMissing)];
}

// Buttons above a table that show one of its groups, or all.
function makeFilter(table) {
  const groups = [...table.tBodies].filter((body) => body.dataset.title);
  if (groups.length < 2) return;
  const bar = document.createElement("div");
  bar.className = "filter";
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", "Rows to show");
  for (const title of ["all groups", ...groups.map((body) => body.dataset.title)]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = title;
    button.setAttribute("aria-pressed", String(title === "all groups"));
    button.addEventListener("click", () => {
      for (const other of bar.children) other.setAttribute("aria-pressed", String(other === button));
      for (const body of groups) body.hidden = button !== bar.firstChild && body.dataset.title !== title;
    });
    bar.append(button);
  }
  table.parentElement.before(bar);
}

// A link to a folded part opens it; a printed page has all of them open.
function openLinked() {
  const part = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  if (part && part.tagName === "DETAILS") part.open = true;
}

document.querySelectorAll("table.sortable").forEach((table) => {
  makeSortable(table);
  makeFilter(table);
});
window.addEventListener("hashchange", openLinked);
openLinked();
window.addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((part) => {
    part.open = true;
  });
});
