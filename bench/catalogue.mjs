// node bench/catalogue.mjs: the whole catalogue on the default host, start of Node included. Needs a build. Not part of
// `npm run bench`, whose figures are ratios: this one is seconds, for a person who waits.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";

const root = join(import.meta.dirname, "..");
const HOST = "machines/laptop-nvidia-optane.lspci.txt";

if (process.argv[2] === "once") await once();
else {
  const seconds = Array.from({ length: 5 }, () => timed()).toSorted((a, b) => a - b);
  console.log(`whole catalogue: ${seconds[0].toFixed(2)} s at best, ${seconds[2].toFixed(2)} s in the middle of 5`);
}

function timed() {
  const begin = performance.now();
  execFileSync(process.execPath, [import.meta.filename, "once"], { stdio: "inherit" });
  return (performance.now() - begin) / 1000;
}

async function once() {
  const { compareInParallel } = await import(`${root}/packages/compare/dist/index.js`);
  const { parseCapture } = await import(`${root}/packages/pci/dist/node.js`);
  await compareInParallel({ capture: parseCapture(readFileSync(join(root, HOST), "utf8"), HOST) });
}
