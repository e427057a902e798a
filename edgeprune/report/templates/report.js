"use strict";
// Figures of charts at hand, series that can be put out of sight, and a switch between light and
// dark. Everything can be read without this script, and it asks nothing of any network.
(() => {
  const NEAR = 30;
  const SVG = "http://www.w3.org/2000/svg";
  const all = (root, selector) => [...root.querySelectorAll(selector)];
  // What is rendered on lines of its own is told with a space between.
  const text = (node) => (node.innerText || node.textContent).replace(/\s+/g, " ").trim();
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);

  const tools = make("p", { className: "tools" });
  const header = document.querySelector(".cover header");
  const root = document.documentElement;
  const theme = make("button", { type: "button" });
  const isDark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const nameTheme = () => (theme.textContent = isDark() ? "Light theme" : "Dark theme");
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    nameTheme();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", nameTheme);
  nameTheme();
  tools.append(theme);
  if (header) header.prepend(tools);

  // What a mark stands for: cells with their headings, [heading, text] each.
  function rowOf(table, number) {
    const heads = all(table, "thead th").map(text);
    const cells = [...table.tBodies[0].rows[number].cells].map(text);
    return cells.map((cell, index) => [heads[index], cell]).filter(([, cell]) => cell && cell !== "–");
  }

  function cellAt(path) {
    const figure = document.querySelector(`td [data-evidence="${CSS.escape(path)}"]`);
    if (!figure) return [];
    const cell = figure.closest("td");
    const row = cell.parentElement;
    const heads = [...cell.closest("table").tHead.rows[0].cells].map(text);
    return [[heads[0], text(row.cells[0])], [heads[cell.cellIndex], text(cell)]];
  }

  function toldBy(plot, mark) {
    const found = mark.dataset.path
      ? mark.dataset.path.split(" ").flatMap(cellAt)
      : rowOf(plot.querySelector("table"), Number(mark.dataset.row));
    return [...new Map(found)];
  }

  function show(readout, pairs) {
    readout.replaceChildren(
      ...pairs.flatMap(([head, cell]) => {
        const name = make("span", { className: "label", textContent: `${head}: ` });
        const item = make("span", { className: "item" });
        item.append(name, cell);
        return [item, " "];
      }),
    );
  }

  // The marks of a chart line by line, in the order in which they were drawn.
  function linesOf(svg) {
    const lines = new Map();
    for (const mark of all(svg, "[data-line]")) {
      if (mark.classList.contains("off")) continue;
      if (!lines.has(mark.dataset.line)) lines.set(mark.dataset.line, []);
      lines.get(mark.dataset.line).push(mark);
    }
    return [...lines.values()];
  }

  function centre(mark) {
    const box = mark.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  }

  function nearest(marks, [x, y]) {
    const away = (mark) => Math.hypot(centre(mark)[0] - x, centre(mark)[1] - y);
    return marks.reduce((best, mark) => (!best || away(mark) < away(best) ? mark : best), null);
  }

  // The mark that an arrow key leads to from another.
  function step(svg, here, key) {
    const lines = linesOf(svg);
    if (!lines.length) return null;
    const line = Math.max(lines.findIndex((marks) => marks.includes(here)), 0);
    const place = lines[line].indexOf(here);
    const along = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[key];
    if (key === "Home") return lines[line][0];
    if (key === "End") return lines[line].at(-1);
    if (place < 0) return lines[0][0];
    if (lines.length > 1 && (key === "ArrowUp" || key === "ArrowDown")) {
      return nearest(lines[(line + along + lines.length) % lines.length], centre(here));
    }
    return lines[line][Math.min(Math.max(place + along, 0), lines[line].length - 1)];
  }

  function marked(plot, svg, readout) {
    let here = null;
    const choose = (mark) => {
      if (mark === here) return;
      if (here) here.classList.remove("here");
      here = mark;
      if (!here) return readout.replaceChildren(readout.title);
      here.classList.add("here");
      show(readout, toldBy(plot, here));
    };
    return {
      clear: () => choose(null),
      key: (key) => {
        choose(step(svg, here, key));
        if (here) here.scrollIntoView({ block: "nearest", inline: "nearest" });
      },
      point: (event) => {
        if (event.target.dataset.line) return choose(event.target);
        const at = [event.clientX, event.clientY];
        const mark = nearest(linesOf(svg).flat(), at);
        const near = mark && Math.hypot(centre(mark)[0] - at[0], centre(mark)[1] - at[1]) < NEAR;
        if (near) choose(mark);
      },
    };
  }

  // A signal: its samples are in the table, one list a row.
  function sampled(plot, svg, readout) {
    const rows = [...plot.querySelector("table").tBodies[0].rows];
    const signals = rows.map((row) => [text(row.cells[0]), text(row.cells[1]).split(" ")]);
    const points = svg.querySelector(".trace").points;
    const cursor = document.createElementNS(SVG, "line");
    const { start, step: period, unit } = svg.dataset;
    let here = -1;
    const choose = (index) => {
      here = index;
      if (here < 0) {
        cursor.remove();
        return readout.replaceChildren(readout.title);
      }
      const x = points[here].x;
      const edges = { x1: x, x2: x, y1: 0, y2: svg.viewBox.baseVal.height - 60, class: "cursor" };
      for (const [name, value] of Object.entries(edges)) cursor.setAttribute(name, value);
      svg.append(cursor);
      const time = `${Math.round(Number(start) + here * Number(period))} ms`;
      show(readout, [["Time", time], ...signals.map(([name, of]) => [name, `${of[here]} ${unit}`])]);
    };
    const within = (index) => choose(Math.min(Math.max(index, 0), points.length - 1));
    return {
      clear: () => choose(-1),
      key: (key) => {
        if (key === "Home" || key === "End") return within(key === "Home" ? 0 : points.length);
        within(here + (key === "ArrowRight" || key === "ArrowDown" ? 1 : -1));
      },
      point: (event) => {
        const at = new DOMPoint(event.clientX, event.clientY);
        const x = at.matrixTransform(svg.getScreenCTM().inverse()).x;
        const last = points.length - 1;
        within(Math.round(((x - points[0].x) / (points[last].x - points[0].x)) * last));
      },
    };
  }

  for (const plot of all(document, ".plot")) {
    const svg = plot.querySelector("svg");
    const frame = plot.querySelector(".scroll");
    // A title element would lie over the figures as a tooltip; its words stay the chart's name.
    const title = svg.querySelector("title");
    svg.setAttribute("aria-label", text(title));
    svg.removeAttribute("aria-labelledby");
    title.remove();
    const hint = "Point at a mark, or go to the chart with the Tab key and use the arrow keys.";
    const readout = make("p", { className: "readout", textContent: hint });
    readout.setAttribute("role", "status");
    frame.after(readout);
    readout.title = hint;
    const reader = (svg.dataset.step ? sampled : marked)(plot, svg, readout);
    svg.addEventListener("pointermove", reader.point);
    svg.addEventListener("pointerdown", reader.point);
    svg.addEventListener("pointerleave", () => frame.matches(":focus-visible") || reader.clear());
    frame.addEventListener("blur", reader.clear);
    frame.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      if (event.key === "Escape") reader.clear();
      if (!/^(Arrow(Left|Right|Up|Down)|Home|End)$/.test(event.key)) return;
      event.preventDefault();
      reader.key(event.key);
    });
  }

  for (const item of all(document, "figure .legend li")) {
    const series = all(item.closest("figure"), `svg .${item.className}`);
    if (!series.length) continue;
    const button = make("button", { type: "button" });
    button.append(...item.childNodes);
    item.append(button);
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(shown));
      for (const part of series) part.classList.toggle("off", !shown);
    });
  }

  // Only what can be scrolled, and charts, need a stop of the Tab key.
  const stops = all(document, ".scroll");
  function place() {
    // All are measured before any is changed: the page is laid out once.
    const needed = stops.map((stop) => stop.querySelector("svg") || stop.scrollWidth > stop.clientWidth);
    for (const [index, stop] of stops.entries()) {
      if (needed[index]) stop.tabIndex = 0;
      else stop.removeAttribute("tabindex");
    }
  }
  for (const details of all(document, "details")) details.addEventListener("toggle", place);
  addEventListener("resize", place);
  place();
  addEventListener("beforeprint", () => {
    for (const details of all(document, "details.alone, details.more")) details.open = true;
  });
})();
