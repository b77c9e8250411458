// What pages can do: contents beside them, tables to sort and filter, pictures to enlarge, folded parts that open.
"use strict";
{
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // Contents lie open where there is room beside the page.
  const contents = document.querySelector("details.contents");
  if (contents) {
    const wide = matchMedia("(min-width: 62rem)");
    const unfold = () => { contents.open = wide.matches; };
    unfold();
    wide.addEventListener("change", unfold);
  }

  // A link to something folded opens what it lies in; print has everything open.
  const unfoldTo = (element) => {
    for (let part = element; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  };
  const follow = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    unfoldTo(target);
    target.hidden = false;
    target.scrollIntoView();
  };
  addEventListener("hashchange", follow);
  follow();
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("main details:not(.kept)")) part.open = true;
    for (const image of document.images) image.loading = "eager";
  });

  // Tables: a click on a heading sorts, numbers as numbers and what is missing last; a field keeps rows that have all its words.
  const value = (row, column) => {
    const text = row.cells[column].textContent.trim();
    const number = Number(text.replaceAll(",", "").replace("−", "-").replace("∞", "Infinity"));
    return text === "–" ? null : text && !Number.isNaN(number) ? number : text;
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });

  for (const box of document.querySelectorAll(".wide")) {
    const rows = [...box.querySelectorAll("tbody tr")];
    if (rows.length < 3) continue;
    const headings = [...box.querySelectorAll("thead th")];
    headings.forEach((heading, column) => {
      const button = make("button", { type: "button" }, ...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const descending = heading.ariaSort === "ascending";
        for (const other of headings) other.ariaSort = null;
        heading.ariaSort = descending ? "descending" : "ascending";
        const sorted = rows.toSorted((one, other) => {
          const [a, b] = [value(one, column), value(other, column)];
          if (a === null || b === null) return (a === null) - (b === null);
          return descending ? compare(b, a) : compare(a, b);
        });
        box.querySelector("tbody").append(...sorted);
      });
    });
    const count = make("output", { className: "small" });
    const field = make("input", { type: "search", placeholder: "words in a row" });
    const label = `Filter: ${box.ariaLabel}`;
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/);
      for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
      count.value = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
    });
    box.before(make("p", { className: "filter" }, make("label", {}, `${label} `, field), " ", count));
  }

  // Boxes that choose which of several parts are shown, by what these have in data-values.
  for (const filter of document.querySelectorAll("[data-filters]")) {
    filter.addEventListener("change", () => {
      const wanted = [...filter.querySelectorAll(":checked")].map((box) => box.value);
      for (const part of document.querySelectorAll(filter.dataset.filters)) {
        part.hidden = !part.dataset.values.split(" ").some((value) => wanted.includes(value));
      }
    });
  }

  // A picture opens over the page, by click or by key, as large as there is room for.
  const viewer = make("dialog", { className: "viewer", ariaLabel: "Figure" });
  viewer.addEventListener("click", () => viewer.close());
  document.body.append(viewer);
  for (const image of document.querySelectorAll("img.enlarges")) {
    image.tabIndex = 0;
    image.role = "button";
    image.title = "Enlarge";
    const enlarge = () => {
      viewer.replaceChildren(make("img", { src: image.src, alt: image.alt }), make("button", { type: "button" }, "Close"));
      viewer.showModal();
    };
    image.addEventListener("click", enlarge);
    image.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      enlarge();
    });
  }
}
