(() => {
  "use strict";
  const $ = (id) => document.getElementById(id);

  // Live charts replace the still ones when they come into view; a failure leaves the still one.
  const draw = async (box) => {
    if (box.dataset.live || !window.vegaEmbed) return;
    box.dataset.live = "yes";
    try {
      const spec = JSON.parse($(box.dataset.chart + "-spec").textContent);
      const stage = document.createElement("div");
      stage.setAttribute("aria-hidden", "true"); // the box around it is the image, with its title as its name
      const width = Math.min(spec.width, box.clientWidth);
      await window.vegaEmbed(stage, { ...spec, width }, { actions: false, renderer: "svg", ast: true, defaultStyle: false, tooltip: { disableDefaultStyle: true } });
      box.replaceChildren(stage);
    } catch (error) {
      console.warn("chart stays still:", error);
    }
  };
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting || !entry.target.clientWidth) continue;
      seen.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "200px" });
  document.querySelectorAll(".plot").forEach((box) => seen.observe(box));

  // A link to a closed section opens it.
  const reveal = () => {
    const target = location.hash.length > 1 && $(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", reveal);
  reveal();

  const table = $("videos");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];

  // Search.
  const words = rows.map((row) => (row.textContent + " " + (row.dataset.topic || "")).toLowerCase());
  const query = $("q");
  const undecided = $("undecided");
  query.closest(".search").hidden = false;
  const filter = () => {
    const wanted = query.value.trim().toLowerCase().split(/\s+/);
    let shown = 0;
    rows.forEach((row, i) => {
      const settled = undecided && undecided.checked && "reached" in row.dataset;
      row.hidden = settled || !wanted.every((word) => words[i].includes(word));
      shown += row.hidden ? 0 : 1;
    });
    $("q-count").textContent = shown < rows.length ? `${shown} of ${rows.length}` : "";
    document.querySelector("#open .none").hidden = shown > 0;
  };
  query.addEventListener("input", filter);
  if (undecided) undecided.addEventListener("change", filter);

  // Sorting by a column; the first order is the page's own.
  const value = (row, at, kind) => {
    const cell = row.cells[at];
    if (kind === "text") return cell.textContent.trim();
    return cell.dataset.v === "" ? -Infinity : Number(cell.dataset.v);
  };
  table.querySelectorAll("th[data-sort]").forEach((head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const kind = head.dataset.sort;
      const first = kind === "text" || head.classList.contains("rank") || head.cellIndex === 0 ? "ascending" : "descending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? other : first;
      table.querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const at = head.cellIndex;
      const compare = (a, b) => {
        const [x, y] = [value(a, at, kind), value(b, at, kind)];
        return x < y ? -sign : x > y ? sign : 0;
      };
      body.append(...[...rows].sort(compare));
    });
  });
})();
