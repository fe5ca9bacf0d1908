// core stays small and alone: how many lines of JavaScript it ships, tables apart, and that it imports nothing.
// A line counts if it is left when types, comments, imports and blank lines are gone, as the project's formatter writes
// it. Tables are the contracts and errnos, and the list of exports.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

const LINES_MAX = 1500;
const TABLES = /^(contracts\/(?!window)|index\.ts$)/;
const core = join(import.meta.dirname, "../packages/core");
const options = { target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext, removeComments: true };

const files = readdirSync(join(core, "src"), { recursive: true })
  .map((name) => name.replaceAll("\\", "/"))
  .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts") && name !== "testing.ts");
const problems = [];
const counted = [];
for (const name of files) {
  const source = readFileSync(join(core, "src", name), "utf8");
  for (const { fileName } of ts.preProcessFile(source).importedFiles)
    if (!fileName.startsWith(".")) problems.push(`src/${name} imports ${fileName}: core imports its own files only`);
  if (!TABLES.test(name)) counted.push({ name, code: linesOf(source) });
}

function linesOf(source) {
  const bare = ts.transpileModule(source, { compilerOptions: options }).outputText;
  const own = bare.replaceAll(/^(import [^;]*|export [^;]* from [^;]*|export \{\});$/gm, "");
  const args = ["node_modules/@biomejs/biome/bin/biome", "format", "--stdin-file-path=core.js"];
  const formatted = execFileSync(process.execPath, args, { input: own, encoding: "utf8" });
  return formatted.split("\n").filter((line) => line.trim() !== "").length;
}

const { dependencies = {} } = JSON.parse(readFileSync(join(core, "package.json"), "utf8"));
for (const name of Object.keys(dependencies))
  problems.push(`packages/core depends on ${name}: core depends on nothing`);
const sum = counted.reduce((n, f) => n + f.code, 0);
if (sum >= LINES_MAX)
  problems.push(`core has ${sum} lines of code: less than ${LINES_MAX}, or move what only one package needs`);

const largest = counted.toSorted((a, b) => b.code - a.code).slice(0, 5);
console.log(
  `core: ${sum} of ${LINES_MAX} lines, tables apart; largest: ${largest.map((f) => `${f.name} ${f.code}`).join(", ")}`,
);
for (const problem of problems) console.error(problem);
process.exit(problems.length === 0 ? 0 : 1);
