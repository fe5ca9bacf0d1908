// core's bundle runs as it is in a browser: one program, run here and in headless Chromium, must answer the same.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const bundle = join(import.meta.dirname, "../packages/core/dist/index.js");
const executablePath = process.env["CHROMIUM_PATH"] ?? "/usr/bin/chromium";
if (!existsSync(executablePath)) {
  console.error(`no Chromium at ${executablePath}: apt-get install chromium, or set CHROMIUM_PATH`);
  process.exit(1);
}

/** Locks, fences, a buffer's whole life, and every order of a race; nothing in it is Node's. */
function program(core) {
  const { addr, dmaAddress, explore, Framework, PAGE_SIZE, Usage, DmaFence } = core;
  const names = { driverName: () => "gpu", timelineName: () => "ring" };
  const ops = {
    mapDmaBuf: () => ({ runs: [{ kind: "dma", offset: 0, sizeBytes: PAGE_SIZE, address: addr(PAGE_SIZE) }] }),
    unmapDmaBuf() {},
    pin() {},
    unpin() {},
    release() {},
  };
  function* life(framework, fence) {
    const buf = framework.export({ exporterName: "x", ops, sizeBytes: PAGE_SIZE, priv: {} });
    const importer = { name: "imp", ops: { allowPeer2peer: true, invalidateMappings() {} } };
    const attachment = yield* framework.dynamicAttach(buf, { name: "nic", spaces: [] }, importer);
    const held = yield* buf.resv.lock();
    buf.resv.reserveFences(held, 1);
    buf.resv.addFence(held, fence, Usage.WRITE);
    held[Symbol.dispose]();
    const table = yield* framework.mapAttachmentUnlocked(attachment, "to-device");
    yield* framework.beginAccess(buf, "from-device");
    yield* framework.unmapAttachmentUnlocked(attachment, table, "to-device");
    yield* framework.detachAttachment(buf, attachment);
    yield* framework.put(buf);
  }
  const found = explore(
    (scheduler) => {
      const framework = new Framework({ contract: dmaAddress, scheduler });
      const fence = new DmaFence(framework.env, names, 1, 1);
      scheduler.spawn("importer", life(framework, fence));
      scheduler.spawn(
        "gpu",
        (function* () {
          yield { site: "job", ready: null };
          fence.signal();
        })(),
      );
      const end = scheduler.run();
      return { end, ledger: framework.ledger, findings: framework.findings.length };
    },
    { badness: (r) => r.findings, ordersMax: 500 },
  );
  return JSON.stringify(found);
}

const here = program(await import(pathToFileURL(bundle).href));
const root = process.getuid?.() === 0;
const browser = await chromium.launch({ executablePath, args: root ? ["--no-sandbox"] : [] });
try {
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.route("**/*", (route) => {
    const script = route.request().url().endsWith(".js");
    return route.fulfill(
      script
        ? { contentType: "text/javascript", body: readFileSync(bundle, "utf8") }
        : { contentType: "text/html", body: "<!doctype html><title>core</title>" },
    );
  });
  await page.goto("http://localhost/");
  const there = await page.evaluate(`import("/core.js").then(${String(program)})`);
  if (errors.length > 0 || there !== here) {
    console.error("core does not answer the same in the browser:", ...errors, `\nhere:  ${here}\nthere: ${there}`);
    process.exitCode = 1;
  } else console.log(`core in Chromium ${browser.version()}: the same ${JSON.parse(there).explored} orders`);
} finally {
  await browser.close();
}
