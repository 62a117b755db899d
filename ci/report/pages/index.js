"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const files = JSON.parse(byId("cases").textContent);
  const all = byId("all"), one = byId("case"), body = byId("case-body"), heading = byId("case-h");
  const find = byId("find"), only = byId("only"), range = byId("range"), found = byId("found");
  const rows = [...document.querySelectorAll("[data-find]")];
  const grids = [...document.querySelectorAll(".range")];
  const sections = [...all.querySelectorAll("section")].filter((section) => section.id !== "nights" && section.querySelector("[data-find]"));
  const loaded = new Map();
  const title = document.title;

  // The place in the page, the filters and the open case are in the address, to share it.
  const read = () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  const write = () => {
    const state = new URLSearchParams();
    if (find.value) state.set("find", find.value);
    if (only.value) state.set("only", only.value);
    if (range.value !== "nights") state.set("range", range.value);
    const text = state.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  };

  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0, cases = 0;
    for (const row of rows) {
      const text = words.every((word) => row.dataset.find.includes(word));
      const kind = row.dataset.is === undefined || !only.value || row.dataset.is.split(" ").includes(only.value);
      row.hidden = !(text && kind);
      if (row.dataset.is !== undefined && row.closest(".range") === grids[0]) {
        cases += 1;
        shown += row.hidden ? 0 : 1;
      }
    }
    // A section whose every row is filtered away is no section; that of the grid stays.
    for (const section of sections) section.hidden = [...section.querySelectorAll("[data-find]")].every((row) => row.hidden);
    for (const grid of grids) grid.hidden = grid.dataset.range !== range.value;
    found.textContent = shown === cases ? `${cases} cases` : `${shown} of ${cases} cases`;
    for (const grid of grids) if (!grid.hidden) { newest(grid); rove(grid); }
  };

  // The newest night is at the right: a narrow screen begins there.
  const newest = (grid) => { if (!grid.dataset.seen) { grid.dataset.seen = "1"; grid.scrollLeft = grid.scrollWidth; } };

  // One stop of the Tab key in the whole grid; arrows move in it, as in a spreadsheet.
  const links = (row) => [...row.querySelectorAll("a")];
  const visible = (grid) => [...grid.querySelectorAll("tbody tr")].filter((row) => !row.hidden);
  const rove = (grid) => {
    const every = grid.querySelectorAll("tbody a");
    for (const link of every) link.tabIndex = -1;
    const first = visible(grid)[0];
    if (first) links(first)[0].tabIndex = 0;
  };
  const move = (grid, key, from) => {
    const lines = visible(grid), line = lines.indexOf(from.closest("tr"));
    const cells = [...from.closest("tr").children], at = cells.indexOf(from.closest("th, td"));
    const link = (row, column) => row && row.children[column] && row.children[column].querySelector("a");
    const step = (row, column, down, right) => {
      for (let r = row + down, c = column + right; lines[r] && lines[r].children[c]; r += down, c += right) {
        const there = link(lines[r], c);
        if (there) return there;
      }
      return null;
    };
    const there = {
      ArrowDown: () => step(line, at, 1, 0),
      ArrowUp: () => step(line, at, -1, 0),
      ArrowRight: () => step(line, at, 0, 1),
      ArrowLeft: () => step(line, at, 0, -1),
      Home: () => link(lines[line], 0),
      End: () => links(lines[line]).at(-1),
    }[key]();
    if (!there) return;
    from.tabIndex = -1;
    there.tabIndex = 0;
    there.focus();
    there.scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  for (const grid of grids) {
    grid.querySelector("table").setAttribute("role", "grid");
    grid.addEventListener("keydown", (event) => {
      const from = event.target.closest("tbody a");
      const keys = ["ArrowDown", "ArrowUp", "ArrowRight", "ArrowLeft", "Home", "End"];
      if (!from || !keys.includes(event.key) || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      move(grid, event.key, from);
    });
    grid.addEventListener("focusin", (event) => {
      const link = event.target.closest("tbody a");
      if (!link) return;
      for (const other of grid.querySelectorAll('tbody a[tabindex="0"]')) other.tabIndex = -1;
      link.tabIndex = 0;
    });
  }

  // The details of a case are in a script of its own: a page from a file may fetch nothing else.
  window.lamplighter = { details: (slug, html) => loaded.set(slug, html) };
  const load = (slug) => new Promise((done, failed) => {
    if (loaded.has(slug)) { done(); return; }
    const script = document.createElement("script");
    script.src = `index-files/${encodeURIComponent(slug)}.js?${files[slug][1]}`;
    script.onload = done;
    script.onerror = failed;
    document.head.append(script);
  });
  const open = async (slug, night) => {
    const [name] = files[slug];
    all.hidden = true;
    one.hidden = false;
    heading.textContent = name;
    document.title = `${name} · ${title}`;
    body.className = "loading";
    body.textContent = "Loading …";
    try {
      await load(slug);
      body.innerHTML = loaded.get(slug);
    } catch {
      body.textContent = `index-files/${slug}.js is missing or cannot be read: copy that folder along with index.html, or run inv report.index again.`;
    }
    body.className = "";
    if (read().get("case") !== slug) return;
    const row = night && nearest(night);
    if (row) row.scrollIntoView({ block: "center" });
    else window.scrollTo(0, 0);
    (row ? row.querySelector("a, th") : heading).focus?.({ preventScroll: true });
    if (!row) heading.focus({ preventScroll: true });
  };
  // A week links to its Monday: the first night from then on is the last such row.
  const nearest = (night) => [...body.querySelectorAll('tr[id^="night-"]')].filter((row) => row.id.slice(6, 16) >= night).at(-1);
  let place = 0, from = null;
  const close = () => {
    if (one.hidden) return;
    one.hidden = true;
    all.hidden = false;
    document.title = title;
    window.scrollTo(0, place);
    from?.focus({ preventScroll: true });
  };
  const follow = () => {
    const state = read(), slug = state.get("case");
    if (slug && Object.hasOwn(files, slug)) { open(slug, state.get("night")); return; }
    close();
    if (!location.hash.includes("=")) return;
    find.value = state.get("find") || "";
    only.value = state.get("only") || "";
    if (only.selectedIndex < 0) only.value = "";
    range.value = state.get("range") === "weeks" ? "weeks" : "nights";
    filter();
  };
  all.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#case="]');
    if (link) { place = window.scrollY; from = link; }
  });
  byId("back").addEventListener("click", (event) => {
    event.preventDefault();
    history.pushState(null, "", location.pathname + location.search);
    write();
    close();
  });
  document.querySelector("form.filters").hidden = false;
  document.querySelector("form.filters").addEventListener("submit", (event) => event.preventDefault());
  find.addEventListener("input", () => { write(); filter(); });
  for (const choice of [only, range]) choice.addEventListener("change", () => { write(); filter(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, select, textarea") && one.hidden) { event.preventDefault(); find.focus(); }
    if (event.key === "Escape" && !one.hidden) byId("back").click();
    if (event.key === "Escape" && event.target === find) { find.value = ""; write(); filter(); }
  });
  window.addEventListener("hashchange", follow);
  filter();
  follow();
})();
