// Open a page in headless Chromium as people do: both themes, a desktop's and a phone's width.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const AXE = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");
// WCAG 2.2, levels A and AA.
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
const SIZES = { desktop: { width: 1440, height: 1000 }, phone: { width: 390, height: 844 } };

/** Return the violations that axe finds in what a page shows now, as lines of text. */
export const violations = async (page) => {
  await page.evaluate(AXE);
  const found = await page.evaluate((rules) => axe.run({ runOnly: rules }), RULES);
  return found.violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html.slice(0, 200)}: ${node.failureSummary}`));
};

/** Return how many pixels a page is wider than its window. */
export const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

/**
 * Visit a page in each theme and size; return what happened in each, by its name.
 *
 * `visit(page, name)` returns an object of its own; beside it stand the errors of the console, the
 * requests to elsewhere, dialogs, and how long the page took to open.
 */
export const visits = async (url, visit) => {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
  const origin = new URL(url).protocol === "file:" ? "file:" : new URL(url).origin;
  const found = {};
  try {
    for (const theme of ["light", "dark"]) for (const [size, viewport] of Object.entries(SIZES)) {
      const name = `${size}-${theme}`;
      const context = await browser.newContext({ colorScheme: theme, viewport });
      const page = await context.newPage();
      const errors = [], requests = [], dialogs = [];
      page.on("console", (message) => { if (["error", "warning"].includes(message.type())) errors.push(message.text()); });
      page.on("pageerror", (error) => errors.push(error.message));
      page.on("request", (request) => { if (!request.url().startsWith(origin) && !request.url().startsWith("data:")) requests.push(request.url()); });
      page.on("dialog", (dialog) => { dialogs.push(dialog.message()); dialog.dismiss(); });
      await page.goto(url);
      const opened_ms = await page.evaluate(() => performance.getEntriesByType("navigation")[0].loadEventEnd);
      found[name] = { opened_ms, ...(await visit(page, name)), errors, requests, dialogs };
      await context.close();
    }
  } finally {
    await browser.close();
  }
  return found;
};
