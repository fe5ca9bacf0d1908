// The HTML report in headless Chromium, opened from file:// as a reader opens it: every way into a cell and out of it, filters,
// the keyboard, a phone, dark, print; and that it asks for nothing and complains of nothing.
// node tools/check-report.mjs [FILE [DIRECTORY]]: checks FILE instead of one made here; screenshots go into DIRECTORY.
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [file, shots] = process.argv.slice(2);
const SCENARIOS = ["S01a", "S02a", "S17a", "S18a", "S34c"];
const BYTES_MAX = 5_000_000;
/** WCAG AA, for text of this size. */
const CONTRAST_MIN = 4.5;

const executablePath = process.env["CHROMIUM_PATH"] ?? "/usr/bin/chromium";
if (!existsSync(executablePath)) {
  console.error(`no Chromium at ${executablePath}: apt-get install chromium, or set CHROMIUM_PATH`);
  process.exit(1);
}

const problems = [];
function must(holds, what) {
  if (!holds) problems.push(what);
}

async function makeReport(directory) {
  const { collect, renderHtml } = await import("../packages/compare/dist/index.js");
  const report = join(directory, "report.html");
  const made = { version: "0.0.0", command: "npx dma-buf compare --report report.html" };
  writeFileSync(report, renderHtml({ ...collect({ scenarios: SCENARIOS }), ...made }));
  return report;
}

/** A page that keeps what it complained of, and what it asked for beside itself. */
async function open(browser, url, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on("console", (message) => message.type() === "error" && problems.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("request", (request) => request.url().startsWith("file:") || problems.push(`asks for ${request.url()}`));
  await page.goto(url);
  return page;
}

async function shoot(page, name, options = {}) {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`), timeout: 60_000, ...options });
}

const shown = (page) => page.locator("#matrix tbody tr:not([hidden])").count();
const focused = (page) => page.evaluate(() => document.activeElement?.getAttribute("href"));

/** From the matrix into a cell and back, by mouse and by keys. */
async function cells(page) {
  const first = page.locator("#matrix td a").first();
  const address = await first.getAttribute("href");
  await first.click();
  await page.locator("#panel h2").waitFor();
  must((await page.evaluate(() => location.hash)) === address, "a click does not change the address");
  must(
    await page.evaluate(() => document.activeElement?.matches("#panel h2")),
    "a cell that opens does not get the focus",
  );
  for (const part of ["dl", ".rule", "svg.topo", "table.seq", ".cmd", ".token"])
    must((await page.locator(`#panel ${part}`).count()) > 0, `the first cell shows no ${part}`);
  await shoot(page, "cell");
  await page.keyboard.press("Escape");
  must(!(await page.locator("#panel").isVisible()), "Escape does not close the cell");
  must((await focused(page)) === address, "the focus does not go back to the cell");
  await page.goBack();
  await page.locator("#panel h2").waitFor();
  await page.locator("#close").click();
  must(!(await page.locator("#panel").isVisible()), "the button does not close the cell");
}

async function keyboard(page) {
  await page.locator("#matrix td a").first().focus();
  const places = [await focused(page)];
  for (const key of ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"]) {
    await page.keyboard.press(key);
    places.push(await focused(page));
  }
  must(new Set(places.slice(0, 4)).size === 4 && places[4] === places[0], `arrow keys go ${places.join(", ")}`);
  await page.keyboard.press("Control+End");
  const last = await page.locator("#matrix td a").last().getAttribute("href");
  must((await focused(page)) === last, "Control+End does not go to the last cell");
  must((await page.locator('#matrix a[tabindex="0"]').count()) === 1, "the matrix has not one stop of Tab");
  await page.keyboard.press("Enter");
  await page.locator("#panel h2").waitFor();
  must((await page.evaluate(() => location.hash)) === last, "Enter does not open the cell");
  await page.keyboard.press("Escape");
}

async function filters(page) {
  const all = await shown(page);
  await page.locator("[name=text]").fill("no such scenario");
  must(
    (await shown(page)) === 0 && (await page.locator("#count").textContent()).includes("clear"),
    "nothing matches, and it does not say so",
  );
  await page.locator("#filters [type=reset]").click();
  await page.waitForFunction((n) => document.querySelectorAll("#matrix tbody tr:not([hidden])").length === n, all);
  for (const name of ["contract", "package", "verdict", "blame", "basis"]) await oneFilter(page, name, all);
  const contracts = await page.locator("#matrix thead [data-c]").evaluateAll((heads) => heads.map((h) => h.dataset.c));
  const [a] = contracts;
  for (const b of contracts.slice(1)) {
    await page.locator("[name=a]").selectOption(a);
    await page.locator("[name=b]").selectOption(b);
    const apart = await page.evaluate(rowsApart, [a, b]);
    must((await shown(page)) === apart, `${a} and ${b} differ in ${apart} rows, and ${await shown(page)} are shown`);
  }
  await page.reload();
  must((await page.locator("[name=a]").inputValue()) === a, "the address does not keep the filters");
  await page.locator("#filters [type=reset]").click();
}

/** Rows in which two columns end otherwise. Runs in the page. */
function rowsApart(names) {
  const texts = (row) => new Set(names.map((n) => row.querySelector(`[data-c="${n}"]`).dataset.t));
  return [...document.querySelectorAll("#matrix tbody tr")].filter((row) => texts(row).size === 2).length;
}

/** Rows that a value of a filter should leave. Runs in the page. */
function rowsWith([name, value]) {
  const has = {
    contract: () => true,
    package: (row) => row.dataset.pkg.split(" ").includes(value),
    verdict: (row) => row.querySelector(`[data-v="${value}"], [data-p="${value}"]`),
    blame: (row) => row.querySelector(`[data-b="${value}"]`),
    basis: (row) => row.querySelector(`[data-basis="${value}"]`),
  };
  return [...document.querySelectorAll("#matrix tbody tr")].filter(has[name]).length;
}

/** Each value of a filter leaves the rows that have it; without it all come back. */
async function oneFilter(page, name, all) {
  const values = await page
    .locator(`[name=${name}] option`)
    .evaluateAll((options) => options.slice(1).map((o) => o.value));
  for (const value of values) {
    await page.locator(`[name=${name}]`).selectOption(value);
    const [found, wanted] = [await shown(page), await page.evaluate(rowsWith, [name, value])];
    must(found === wanted && found > 0, `${name} ${value} leaves ${found} rows, not ${wanted}`);
  }
  await page.locator(`[name=${name}]`).selectOption("");
  must((await shown(page)) === all, `without ${name} not all rows come back`);
}

/** Texts whose contrast to what is behind them is too low, of those that are seen. Runs in the page. */
function lowContrast(min) {
  const rgb = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgb(getComputedStyle(at).backgroundColor);
      if (color[3] !== 0) return color;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll("body *:not(script, style, option, svg *)")].filter(
    (e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim() !== ""),
  );
  const ratios = texts.map((e) => {
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))];
    return { ratio: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), text: e.textContent.trim().slice(0, 40) };
  });
  return ratios.filter(({ ratio }) => ratio < min).map(({ ratio, text }) => `${text}: ${ratio.toFixed(2)}`);
}

async function look(browser, url, colorScheme) {
  const page = await open(browser, url, { viewport: { width: 1440, height: 1000 }, colorScheme });
  await shoot(page, colorScheme);
  await page.locator("#matrix td a").last().click();
  await page.locator("#panel h2").waitFor();
  await shoot(page, `${colorScheme}-cell`);
  const low = await page.evaluate(lowContrast, CONTRAST_MIN);
  must(low.length === 0, `${colorScheme}: contrast below ${CONTRAST_MIN}: ${low.slice(0, 5).join("; ")}`);
  await page.context().close();
}

async function phone(browser, url) {
  const page = await open(browser, url, { viewport: { width: 360, height: 760 } });
  const wide = () => page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  must(!(await wide()), "on a phone the page scrolls sideways");
  await shoot(page, "phone", { fullPage: true });
  await page.locator("#matrix td a").first().click();
  await page.locator("#panel h2").waitFor();
  must(!(await wide()), "on a phone a cell scrolls sideways");
  await shoot(page, "phone-cell");
  await page.context().close();
}

async function print(browser, url) {
  const page = await open(browser, url, { viewport: { width: 800, height: 1000 } });
  await page.locator("#matrix td a").first().click();
  await page.locator("#panel h2").waitFor();
  await page.emulateMedia({ media: "print" });
  must(!(await page.locator("#filters").isVisible()), "filters are printed");
  must(
    (await page.locator("#matrix").isVisible()) && (await page.locator("#panel").isVisible()),
    "matrix or cell is not printed",
  );
  await shoot(page, "print", { fullPage: true });
  await page.context().close();
}

const directory = mkdtempSync(join(tmpdir(), "report-"));
const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
const browser = await chromium.launch({ executablePath, args });
let told = "";
try {
  const report = file ? resolve(file) : await makeReport(directory);
  const url = pathToFileURL(report).href;
  const page = await open(browser, url, { viewport: { width: 1440, height: 1000 } });
  const bytes = statSync(report).size;
  must(bytes < BYTES_MAX, `${bytes} bytes are more than ${BYTES_MAX}`);
  told = `the report in Chromium ${browser.version()}: ${await shown(page)} scenarios, ${Math.round(bytes / 1024)} KiB`;
  await cells(page);
  await keyboard(page);
  await filters(page);
  await look(browser, url, "light");
  await look(browser, url, "dark");
  await phone(browser, url);
  await print(browser, url);
} catch (error) {
  problems.push(String(error));
} finally {
  await browser.close();
  rmSync(directory, { recursive: true });
}
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
else console.log(`${told}, no complaint`);
