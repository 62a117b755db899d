// Walk through the page of a run, by mouse and by keyboard: node report.mjs URL FOLDER
import { overflow, violations, visits } from "./browse.mjs";

const [url, folder] = process.argv.slice(2);
const status = (page) => page.textContent("#shown");
const focused = (page) => page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim().slice(0, 40));

// Only keys: to the filters, through them, and into the answers of an item.
const keyboard = async (page) => {
  const path = {};
  await page.keyboard.press("Tab");
  path.skip = await focused(page);
  await page.focus("#benchmark");
  await page.keyboard.press("Tab");
  await page.keyboard.press("ArrowRight");
  path.lost = await status(page);
  await page.keyboard.press("Tab");
  path.search = await focused(page);
  await page.keyboard.type("no such text");
  path.nothing = await status(page);
  await page.fill("#search", "");
  path.again = await status(page);
  await page.focus("#items-table summary");
  await page.keyboard.press("Enter");
  path.answers = await page.locator("#items-table details[open] h4").allTextContents();
  return path;
};

const visit = async (page, name) => {
  const found = { axe: {}, wide: {} };
  found.axe.top = await violations(page);
  found.wide.top = await overflow(page);
  await page.screenshot({ path: `${folder}/${name}-top.png`, fullPage: true });
  await page.evaluate(() => { for (const each of document.querySelectorAll("details")) each.open = true; });
  await page.waitForFunction(() => document.querySelectorAll("#items-table .answers").length > 0);
  found.axe.open = await violations(page);
  found.wide.open = await overflow(page);
  await page.screenshot({ path: `${folder}/${name}-open.png`, fullPage: true });
  found.bad = await page.locator("#bad").count();
  await page.reload();
  found.keyboard = await keyboard(page);
  found.items = await page.evaluate(() => document.querySelectorAll("#items-table tbody tr").length);
  await page.emulateMedia({ media: "print" });
  await page.screenshot({ path: `${folder}/${name}-print.png`, fullPage: true });
  return found;
};

process.stdout.write(JSON.stringify(await visits(url, visit)));
