// See the page of a night as it is in the morning, by keys alone, and on paper: node outcome.mjs URL FOLDER
import { overflow, violations, visits } from "./browse.mjs";

const [url, folder] = process.argv.slice(2);
const text = (page, selector) => page.evaluate((at) => document.querySelector(at).innerText.replace(/\s+/g, " "), selector);

// Headings without anything below them.
const emptySections = () => [...document.querySelectorAll("main section")]
  .filter((section) => section.innerText.trim() === (section.querySelector("h2")?.innerText ?? "").trim())
  .map((section) => section.innerText);

// Pairs of labels of a chart that cover each other.
const overlaps = () => [...document.querySelectorAll("svg.chart")].flatMap((chart) => {
  const labels = [...chart.querySelectorAll("text")].map((label) => [label.textContent, label.getBoundingClientRect()]);
  return labels.flatMap(([one, a], at) => labels.slice(at + 1)
    .filter(([, b]) => a.left < b.right && b.left < a.right && a.top + 1 < b.bottom && b.top + 1 < a.bottom)
    .map(([other]) => `${one} and ${other}`));
});

// What paper does not show, and what is wider than it.
const printed = () => ({
  hidden: [...document.querySelectorAll("main p, main dd, main li, main td, main pre")]
    .filter((each) => each.textContent.trim() && !each.closest("nav, form, noscript, [aria-hidden]") && !each.getClientRects().length)
    .map((each) => each.textContent.slice(0, 60)),
  wide: [...document.querySelectorAll("main *")]
    .filter((each) => !each.closest("svg, .unseen") && each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map((each) => each.outerHTML.slice(0, 80)),
});

// From the first filter to the last by the arrow keys; how many items each shows.
const filters = async (page) => {
  const counts = {};
  await page.focus("#benchmark");
  await page.keyboard.press("Tab");
  for (let more = true; more;) {
    const chosen = await page.evaluate(() => document.activeElement.value);
    if (chosen in counts) break;
    counts[chosen] = Number((await page.textContent("#shown")).match(/of (\d+) items/)[1]);
    await page.keyboard.press("ArrowRight");
    more = await page.evaluate(() => document.activeElement.name === "which");
  }
  return counts;
};

const visit = async (page, name) => {
  const found = { axe: {}, wide: {} };
  found.verdict = await text(page, "#verdict");
  found.sections = await page.evaluate(() => [...document.querySelectorAll("main h2[id]")].map((each) => each.id));
  found.outcomes = await page.evaluate(() => [...document.querySelectorAll(".check .badge")].map((each) => each.classList[1]));
  found.empty = await page.evaluate(emptySections);
  found.overlaps = await page.evaluate(overlaps);
  found.axe.top = await violations(page);
  found.wide.top = await overflow(page);
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
  found.filters = await filters(page);
  await page.evaluate(() => { for (const each of document.querySelectorAll("details")) each.open = true; });
  found.axe.open = await violations(page);
  found.wide.open = await overflow(page);
  await page.reload();
  // A4 without its margins, at 96 dots an inch.
  await page.setViewportSize({ width: 718, height: 1000 });
  await page.emulateMedia({ media: "print" });
  await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
  found.paper = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  found.printed = await page.evaluate(printed);
  await page.screenshot({ path: `${folder}/${name}-print.png`, fullPage: true });
  return found;
};

process.stdout.write(JSON.stringify(await visits(url, visit)));
