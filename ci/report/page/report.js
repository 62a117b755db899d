"use strict";
document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll("button.copy")) {
    button.addEventListener("click", async () => {
      const text = button.parentElement.querySelector("code").textContent;
      try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
      catch {
        const range = document.createRange();
        range.selectNodeContents(button.parentElement.querySelector("code"));
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }
  // Whoever prints wants to read all of it; of the items, the answers of those that flipped.
  addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("details:not(#items-table details), #items-table .flipped details")) each.open = true;
  });

  const data = document.getElementById("items-data");
  if (!data) return;
  const benchmarks = JSON.parse(data.textContent);
  const form = document.getElementById("filters");
  const body = document.querySelector("#items-table tbody");
  const status = document.getElementById("shown");
  const more = document.getElementById("more");
  const STEP = 100;
  let limit = STEP;

  // Texts come from models and data sets: they only ever become text nodes.
  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const outcome = (item) => {
    const word = item.correct === null ? "not judged" : item.correct ? "right" : "wrong";
    return word + ({ lost: ", lost since the last good night", won: ", won since the last good night" }[item.flipped] || "");
  };
  const slow = (items) => {
    const known = items.map((item) => item.latency_ms).filter((ms) => ms !== null).sort((a, b) => a - b);
    return known.length ? known[Math.floor(known.length * 0.95)] : Infinity;
  };
  const filters = {
    all: () => true,
    lost: (item) => item.flipped === "lost",
    won: (item) => item.flipped === "won",
    wrong: (item) => item.correct === false,
    cut: (item) => item.finish_reason === "length",
    empty: (item) => item.tokens === 0,
    slow: (item, from) => item.latency_ms !== null && item.latency_ms >= from,
  };
  const texts = ["id", "question", "expected", "answer", "before"];

  const answers = (item) => {
    if (!item.question && !item.answer && !item.before) return element("span", "", "soft");
    const details = element("details");
    details.append(element("summary", item.before ? "Both answers" : "Answer"));
    details.addEventListener("toggle", () => {
      if (!details.open || details.childElementCount > 1) return;
      const side = element("div", undefined, "answers");
      for (const [title, text] of [["Question", item.question], ["Expected", item.expected], ["Tonight", item.answer], ["Before", item.before]]) {
        if (!text) continue;
        const part = element("div");
        const shown = element("pre", text);
        shown.tabIndex = 0;
        part.append(element("h4", title), shown);
        side.append(part);
      }
      details.append(side);
    });
    return details;
  };
  const row = (item) => {
    const made = element("tr", undefined, item.flipped ? "flipped" : "");
    const head = element("th", item.id);
    head.scope = "row";
    made.append(
      head,
      element("td", outcome(item), item.correct === false ? "fail" : ""),
      element("td", item.tokens ?? "-", "number"),
      element("td", item.latency_ms === null ? "-" : `${Math.round(item.latency_ms)} ms`, "number"),
      element("td", item.finish_reason ?? "-"),
    );
    const cell = element("td");
    cell.append(answers(item));
    made.append(cell);
    return made;
  };
  const show = () => {
    const benchmark = benchmarks[Number(form.elements.benchmark.value)];
    const rows = benchmark.rows || [];
    const which = filters[form.elements.which.value] || filters.all;
    const search = form.elements.search.value.toLowerCase();
    const from = slow(rows);
    const found = rows.filter((item) =>
      which(item, from) && (!search || texts.some((key) => (item[key] || "").toLowerCase().includes(search))));
    body.replaceChildren(...found.slice(0, limit).map(row));
    const elsewhere = benchmark.n_items - rows.length;
    status.textContent = `${Math.min(limit, found.length)} of ${found.length} items`
      + (elsewhere > 0 ? `; ${elsewhere} others are only in ${benchmark.file}` : "");
    more.hidden = found.length <= limit;
  };
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => { limit = STEP; show(); });
  more.addEventListener("click", () => { limit += STEP; show(); });
  show();
});
