// Only comfort: the page reads without it. Sorting, filtering, the scan's age, names under the picture.
"use strict";
(() => {
  const FILTER_FROM_ROWS = 8;

  // A size has its bytes in the cell's title; every other figure is the cell's text.
  const number = (cell) => parseFloat(cell.title || cell.textContent);

  const compare = (column, isNumber) => (a, b) => {
    const [left, right] = [a.cells[column], b.cells[column]];
    if (isNumber) {
      const [x, y] = [number(left), number(right)];
      // What is not known comes first, whatever it is compared with.
      return (Number.isNaN(x) ? -Infinity : x) - (Number.isNaN(y) ? -Infinity : y) || 0;
    }
    return left.textContent.localeCompare(right.textContent, "en", { numeric: true });
  };

  const makeSortable = (table) => {
    const headings = [...table.tHead.rows[0].cells];
    const body = table.tBodies[0];
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const isNumber = heading.classList.contains("number");
        const before = heading.getAttribute("aria-sort");
        // Figures begin with the largest, names with the first.
        const isDescending = before ? before === "ascending" : isNumber;
        const order = compare(column, isNumber);
        const rows = [...body.rows].sort((a, b) => (isDescending ? order(b, a) : order(a, b)));
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
        body.append(...rows);
      });
    });
  };

  const makeFilterable = (table, scroll) => {
    const rows = [...table.tBodies[0].rows];
    if (rows.length < FILTER_FROM_ROWS) return;
    const words = (row) =>
      (row.textContent + " " + [...row.querySelectorAll("code[title]")].map((code) => code.title).join(" "))
        .toLowerCase();
    const texts = new Map(rows.map((row) => [row, words(row)]));
    const line = document.createElement("p");
    line.className = "filter";
    const input = document.createElement("input");
    input.type = "search";
    input.placeholder = "filter these " + rows.length + " rows";
    input.setAttribute("aria-label", "filter: " + scroll.getAttribute("aria-label"));
    const count = document.createElement("span");
    count.setAttribute("aria-live", "polite");
    line.append(input, count);
    scroll.before(line);
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      let shown = 0;
      for (const row of rows) {
        row.hidden = wanted !== "" && !texts.get(row).includes(wanted);
        if (!row.hidden) shown += 1;
      }
      count.textContent = wanted === "" ? "" : shown + " of " + rows.length;
    });
  };

  for (const scroll of document.querySelectorAll(".scroll")) {
    const table = scroll.querySelector("table");
    makeSortable(table);
    makeFilterable(table, scroll);
  }

  // A page is kept and opened days later: say how old its figures are then.
  const scanned = document.getElementById("scanned");
  if (scanned) {
    const days = Math.floor((Date.now() - Date.parse(scanned.dateTime)) / 86400000);
    if (days >= 1) {
      document.getElementById("age-now").textContent = ", " + days + (days === 1 ? " day" : " days") + " ago now";
    }
  }

  // Where there is no pointer to hover with, a tap tells a box's name.
  const detail = document.getElementById("treemap-detail");
  for (const box of document.querySelectorAll(".treemap .box")) {
    const tell = () => { detail.textContent = box.querySelector("title").textContent; };
    box.addEventListener("pointerenter", tell);
    box.addEventListener("click", tell);
  }

  // A group's picture takes the place of the whole; a click on it, or on its name, brings that back.
  const figure = document.querySelector(".treemap");
  const groups = [...document.querySelectorAll(".groups details")];
  const zoom = (group) => {
    groups.forEach((other) => { other.open = other === group; });
    figure.classList.toggle("zoomed", group !== null);
  };
  for (const box of document.querySelectorAll("[data-zoom]")) {
    box.addEventListener("click", () => zoom(document.getElementById(box.dataset.zoom)));
  }
  for (const group of groups) {
    group.querySelector("summary").addEventListener("click", (event) => {
      event.preventDefault();
      zoom(group.open ? null : group);
    });
    group.querySelector("svg").addEventListener("click", () => zoom(null));
  }
})();
