// core stays small and alone: how many lines of JavaScript it ships, tables apart, and that it imports nothing.
// A line counts if it is left when types, comments, imports and blank lines are gone. Tables are the contracts with
// their windows, the errnos, and the list of exports.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

const LINES_MAX = 1500;
const TABLES = /^(contracts\/|index\.ts$)/;
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
  const lines = ts.transpileModule(source, { compilerOptions: options }).outputText.split("\n");
  const code = lines.filter((l) => l.trim() !== "" && !/^(import .*|export .* from .*|export \{\};)$/.test(l)).length;
  if (!TABLES.test(name)) counted.push({ name, code });
}
const { dependencies = {} } = JSON.parse(readFileSync(join(core, "package.json"), "utf8"));
for (const name of Object.keys(dependencies)) problems.push(`packages/core depends on ${name}: core depends on nothing`);
const sum = counted.reduce((n, f) => n + f.code, 0);
if (sum >= LINES_MAX) problems.push(`core has ${sum} lines of code: less than ${LINES_MAX}, or move what only one package needs`);

const largest = counted.toSorted((a, b) => b.code - a.code).slice(0, 5);
console.log(`core: ${sum} of ${LINES_MAX} lines, tables apart; largest: ${largest.map((f) => `${f.name} ${f.code}`).join(", ")}`);
for (const problem of problems) console.error(problem);
process.exit(problems.length === 0 ? 0 : 1);
