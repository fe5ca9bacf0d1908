// A plugin's variant is small and stands alone: what `@dma-buf/<plugin>/<contract>` loads out of its own package is within
// the plugin's budget, and holds no other variant's source. core and page-table come beside it. Needs a build.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

/** JavaScript as packed, of the largest variant and its chunks: a fifth more than there was when the number was set. */
const BUDGET_KIB = {
  "exporter-gpu": 62,
  "exporter-udmabuf": 36,
  "exporter-vfio": 70,
  "importer-gpu": 60,
  "importer-iommufd": 104,
  "importer-kvm": 96,
  "importer-rdma": 48,
};

const packages = join(import.meta.dirname, "../packages");
const plugins = readdirSync(packages).filter((name) => /^(exporter|importer)-/.test(name));
const problems = plugins.flatMap((plugin) => check(plugin));
for (const problem of problems) console.error(problem);
process.exit(problems.length === 0 ? 0 : 1);

function check(plugin) {
  const dist = join(packages, plugin, "dist");
  const manifest = JSON.parse(readFileSync(join(packages, plugin, "package.json"), "utf8"));
  const variants = Object.keys(manifest.exports).flatMap((e) => (/^\.\/(?!package\.json)/.test(e) ? [e.slice(2)] : []));
  const entries = variants.flatMap((variant) =>
    ["js", "cjs"].map((type) => ({ variant, entry: `${variant}.${type}` })),
  );
  const missing = entries.filter(({ entry }) => !existsSync(join(dist, entry)));
  if (missing.length > 0 || entries.length === 0)
    return [`packages/${plugin}/dist has not all of its ${variants.length} variants: run \`npm run build\``];
  const loaded = entries.map((of) => ({ ...of, files: [...loadedBy(dist, of.entry)] }));
  return [...loaded.flatMap((of) => strangers(plugin, variants, of)), ...overBudget(plugin, loaded)];
}

/** An entry and the chunks that it loads, by their names in `dist`. */
function loadedBy(dist, entry, seen = new Set()) {
  if (seen.has(entry)) return seen;
  seen.add(entry);
  const text = readFileSync(join(dist, entry), "utf8");
  for (const [, name] of text.matchAll(/(?:from|import|require\() ?["']\.\/([^"']+)["']/g)) loadedBy(dist, name, seen);
  return seen;
}

/** The files that a file of `dist` was made of, and how long they are. */
function sourcesOf(dist, file) {
  const { sources, sourcesContent } = JSON.parse(readFileSync(join(dist, `${file}.map`), "utf8"));
  return sources.map((source, i) => ({
    source: source.replace("../src/", "src/"),
    bytes: sourcesContent[i]?.length ?? 0,
  }));
}

function strangers(plugin, variants, { variant, entry, files }) {
  const sources = files.flatMap((file) => sourcesOf(join(packages, plugin, "dist"), file));
  const others = variants.filter((other) => other !== variant).map((other) => `src/${other}.ts`);
  return sources
    .filter(({ source }) => others.includes(source))
    .map(
      ({ source }) =>
        `packages/${plugin}/dist/${entry} loads ${source}: move what both need to a file of its own, which both import`,
    );
}

/** Of the largest entry alone: the others load mostly the same. */
function overBudget(plugin, loaded) {
  const dist = join(packages, plugin, "dist");
  const sized = loaded.map((of) => ({
    ...of,
    bytes: of.files.reduce((n, file) => n + statSync(join(dist, file)).size, 0),
  }));
  const { entry, files, bytes } = sized.reduce((a, b) => (b.bytes > a.bytes ? b : a));
  const budget = BUDGET_KIB[plugin];
  const gzipped = gzipSync(Buffer.concat(files.map((file) => readFileSync(join(dist, file))))).length;
  console.log(`${plugin}: at most ${kib(bytes)} of ${budget} KiB, ${entry}; gzipped ${kib(gzipped)}`);
  if (bytes <= budget * 1024) return [];
  const sources = files.flatMap((file) => sourcesOf(dist, file)).toSorted((a, b) => b.bytes - a.bytes);
  const largest = sources.slice(0, 3).map((s) => `${s.source} ${kib(s.bytes)}`);
  return [
    `packages/${plugin}/dist/${entry} loads ${kib(bytes)} KiB, its budget is ${budget}. Largest sources: ${largest.join(", ")}. Load less, or set the budget in tools/check-variants.mjs and say why`,
  ];
}

function kib(bytes) {
  return (bytes / 1024).toFixed(1);
}
