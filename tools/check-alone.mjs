// A plugin is installed alone: its packed tarball and those of its peers, in an empty folder, with npm and without a
// network. Then each of its entries is loaded, both ways, and its README's first example is run. Needs a build.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ts from "typescript";

const root = join(import.meta.dirname, "..");
const packages = join(root, "packages");
const dir = mkdtempSync(join(tmpdir(), "alone-"));
const tarballs = new Map();

/** The packed package, made once. */
function tarball(name) {
  if (!tarballs.has(name)) {
    const to = join(dir, "packed", name);
    mkdirSync(to, { recursive: true });
    const pnpm = join(root, "node_modules/.bin/pnpm");
    execFileSync(pnpm, ["pack", "--pack-destination", to], { cwd: join(packages, name), stdio: "ignore" });
    tarballs.set(name, join(to, readdirSync(to)[0]));
  }
  return tarballs.get(name);
}

function check(name) {
  const manifest = JSON.parse(readFileSync(join(packages, name, "package.json"), "utf8"));
  const needs = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
  const at = join(dir, "installed", name);
  mkdirSync(at, { recursive: true });
  writeFileSync(join(at, "package.json"), '{ "private": true, "type": "module" }');
  const files = [name, ...needs.map((n) => n.replace("@dma-buf/", ""))].map(tarball);
  // A shell for Windows' npm.cmd: nothing in the arguments needs quoting.
  execFileSync("npm", ["install", "--offline", "--no-audit", "--no-fund", "--silent", ...files], { cwd: at });
  const entries = Object.keys(manifest.exports).filter((e) => e !== "./package.json");
  const load = entries.map((e) => `await load(${JSON.stringify(manifest.name + e.slice(1))});`).join("\n");
  writeFileSync(join(at, "load.mjs"), `${LOAD}\n${load}\n`);
  execFileSync(process.execPath, ["load.mjs"], { cwd: at, stdio: "inherit" });
  writeFileSync(join(at, "example.mjs"), example(name));
  execFileSync(process.execPath, ["example.mjs"], { cwd: at, stdio: "inherit" });
  mentions(join(at, "node_modules", manifest.name, "dist"), [manifest.name, ...needs]);
  return entries.length;
}

const LOAD = `import { createRequire } from "node:module";
const require = createRequire(import.meta.url);
async function load(entry) {
  for (const module of [await import(entry), require(entry)]) {
    const isVariant = entry.split("/").length > 2;
    if (isVariant && typeof module.dmaBufPlugin?.create !== "function") throw new Error(entry + " offers no dmaBufPlugin");
  }
}`;

/** What a newcomer copies out of the README, as JavaScript. */
function example(name) {
  const [, text] = /^```ts\n([\s\S]*?)^```$/m.exec(readFileSync(join(packages, name, "README.md"), "utf8")) ?? [];
  if (!text) throw new Error(`packages/${name}/README.md has no example`);
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  return ts.transpileModule(text, { compilerOptions }).outputText;
}

/** Declarations count too: a type that leads to a package nobody installs is \`any\`. */
function mentions(dist, allowed) {
  for (const file of readdirSync(dist).filter((f) => /\.(c?js|d\.c?ts)$/.test(f)))
    for (const [, name] of readFileSync(join(dist, file), "utf8").matchAll(
      /(?:from|require\(|import\() ?["'](@[^/"']+\/[^/"']+)/g,
    ))
      if (!allowed.includes(name)) throw new Error(`${file} needs ${name}, which does not come with it`);
}

try {
  const plugins = readdirSync(packages).filter((name) => /^(exporter|importer)-/.test(name));
  const entries = plugins.reduce((n, name) => n + check(name), 0);
  console.log(`${plugins.length} plugins, ${entries} entries: each installs and loads with its peers alone`);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
