// The README's table is what the command prints. Without arguments it is written; with --check it must be there.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const readme = join(root, "README.md");
const [begin, end] = ["<!-- table: begin, written by `npm run docs` -->", "<!-- table: end -->"];
const env = { ...process.env, NO_COLOR: "1" };
const printed = execFileSync(process.execPath, ["packages/cli/bin/dma-buf.js", "compare"], {
  cwd: root,
  encoding: "utf8",
  env,
});
// The last line is the time it took, which is another one each time.
const table = printed.trimEnd().split("\n").slice(0, -1).join("\n");
const text = readFileSync(readme, "utf8");
const [before, rest] = text.split(begin);
const after = rest?.split(end)[1];
if (after === undefined) throw new Error(`README.md has no ${begin} … ${end}`);
const fresh = `${before}${begin}\n\n\`\`\`text\n${table}\n\`\`\`\n\n${end}${after}`;
if (!process.argv.includes("--check")) writeFileSync(readme, fresh);
else if (fresh !== text) {
  console.error("README.md: the table is stale. Run `npm run build && npm run docs`, and look at what changed.");
  process.exit(1);
}
