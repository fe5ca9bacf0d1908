// What is written from data: the README's table, the walks, and the reference. Without arguments it is written; with --check it
// must be there. Needs `npm run build`.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { costPages } from "./costs.mjs";
import { findingPages } from "./findings.mjs";
import { peerPages } from "./peers.mjs";
import { referencePages } from "./reference.mjs";
import { walkPages } from "./walks.mjs";

const root = join(import.meta.dirname, "..");
const [begin, end] = ["<!-- table: begin, written by `npm run docs` -->", "<!-- table: end -->"];

/** One for each thing that the contracts disagree about. */
const SHOWN = ["S02a", "S17a", "S34c", "S18a", "S06a", "S15a", "S34a", "S41b", "S58c", "S69c"];

function readme() {
  const env = { ...process.env, NO_COLOR: "1", COLUMNS: "100" };
  const options = ["--contract", "all", "--scenario", SHOWN.join(","), "--details", "none"];
  const command = ["packages/cli/bin/dma-buf.js", "compare", ...options];
  const printed = execFileSync(process.execPath, command, { cwd: root, encoding: "utf8", env });
  // The last line is the time it took, which is another one each time.
  const table = printed.trimEnd().split("\n").slice(0, -1).join("\n");
  const [before, rest] = readFileSync(join(root, "README.md"), "utf8").split(begin);
  const after = rest?.split(end)[1];
  if (after === undefined) throw new Error(`README.md has no ${begin} … ${end}`);
  return `${before}${begin}\n\n\`\`\`text\n${table}\n\`\`\`\n\n${end}${after}`;
}

const pages = {
  "README.md": readme(),
  ...walkPages(),
  ...peerPages(),
  ...findingPages(),
  ...(await costPages()),
  ...(await referencePages(root)),
};
const stale = Object.entries(pages).filter(([path, text]) => {
  const file = join(root, path);
  return !existsSync(file) || readFileSync(file, "utf8") !== text;
});
const left = readdirSync(join(root, "docs/reference"), { recursive: true })
  .map((name) => join("docs/reference", name))
  .filter((path) => path.endsWith(".md") && !(path in pages));

if (process.argv.includes("--check")) {
  for (const [path] of stale)
    console.error(`${path} is stale: run \`npm run build && npm run docs\`, and look at what changed`);
  for (const path of left) console.error(`${path} is written by nothing: delete it`);
  process.exit(stale.length + left.length === 0 ? 0 : 1);
}
for (const [path, text] of stale) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}
