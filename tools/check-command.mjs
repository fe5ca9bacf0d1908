// The built command as a process: what it answers goes to stdout and nothing else does, whatever a module of somebody does.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const packages = fileURLToPath(new URL("../packages/", import.meta.url));
const command = join(packages, "cli/bin/dma-buf.js");
// Below the command's package, where a module finds `@dma-buf/core`.
const dir = mkdtempSync(join(packages, "cli/command-"));
const rfc = join(dir, "rfc.mjs");
writeFileSync(
  rfc,
  `import { defineContract, pfn } from "@dma-buf/core";
console.log("a word of mine");
setInterval(() => {}, 1000);
export const contract = defineContract(pfn, { id: "my-rfc", title: "It prints, and does not end." });
`,
);

const problems = [];
function must(name, argv, ends) {
  const ran = spawnSync(process.execPath, [command, ...argv], { encoding: "utf8", timeout: 120_000 });
  if (!ends(ran)) problems.push(`${name}: ended with ${ran.status ?? ran.signal}\n${ran.stdout}${ran.stderr}`);
}
const parsed = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
};

try {
  must(
    "a module that prints and leaves a timer",
    ["compare", "--scenario", "S34c", "--contract", rfc, "--json"],
    ({ status, stdout, stderr }) =>
      status === 0 && parsed(stdout).contracts?.includes("my-rfc") && stderr.includes("a word of mine"),
  );
  must("bad use", ["compare", "--contract", "nope"], ({ status, stdout }) => status === 2 && stdout === "");
  must("version", ["--version"], ({ status, stdout }) => status === 0 && /^\d+\.\d+\.\d+\n$/.test(stdout));
} finally {
  rmSync(dir, { recursive: true });
}
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exit(1);
console.log("the command as a process: its answers alone on stdout, and it ends");
