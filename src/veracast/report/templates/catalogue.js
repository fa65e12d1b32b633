(() => {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const query = $("q");
  if (!query) return;
  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

  // A row is found by its own words and by its place in the tree.
  const groups = [...document.querySelectorAll("table.entries tbody")].map((body) => {
    const head = body.querySelector("tr.group");
    const rows = [...body.rows].filter((row) => row !== head);
    return { body, rows, words: rows.map((row) => fold(row.textContent + " " + head.dataset.place)), sets: "sets" in body.dataset };
  });
  const all = groups.reduce((sum, group) => sum + group.rows.length, 0);
  const plural = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

  const filter = () => {
    const wanted = fold(query.value).split(/[^\p{L}\p{N}]+/u).filter(Boolean);
    const coded = $("coded").checked;
    const shown = { methods: 0, sets: 0 };
    for (const { body, rows, words, sets } of groups) {
      let here = 0;
      rows.forEach((row, i) => {
        row.hidden = (coded && !("code" in row.dataset)) || !wanted.every((word) => words[i].includes(word));
        here += row.hidden ? 0 : 1;
      });
      body.hidden = here === 0;
      shown[sets ? "sets" : "methods"] += here;
    }
    const total = shown.methods + shown.sets;
    $("q-count").textContent = total < all ? `${plural(shown.methods, "method")}, ${plural(shown.sets, "data set")}` : "";
    for (const [name, number] of Object.entries(shown)) {
      const table = $(name + "-table");
      if (!table) continue;
      table.hidden = number === 0;
      $(name + "-none").hidden = number > 0;
    }
  };
  query.addEventListener("input", filter);
  $("coded").addEventListener("change", filter);
  query.closest(".search").hidden = false;

  // A link from the tree to a leaf that the search hides ends the search.
  addEventListener("hashchange", () => {
    const target = $(decodeURIComponent(location.hash.slice(1)));
    if (!target || !target.hidden) return;
    query.value = "";
    $("coded").checked = false;
    filter();
    target.scrollIntoView();
  });
  if (query.value || $("coded").checked) filter(); // a page that is come back to
})();
