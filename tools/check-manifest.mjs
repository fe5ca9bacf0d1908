// What no linter checks: core depends on nothing, a plugin has core as a peer and no other plugin, and every export
// leads to a source file that exists.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..", "packages");
const faults = readdirSync(root).flatMap((name) =>
  check(name, JSON.parse(readFileSync(join(root, name, "package.json"), "utf8"))),
);
for (const fault of faults) console.error(fault);
process.exit(faults.length > 0 ? 1 : 0);

function check(name, manifest) {
  const runtime = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
  const isPlugin = /^(exporter|importer)-/.test(name);
  const sources = Object.values(manifest.exports).flatMap((e) => e["@dma-buf/source"] ?? []);
  return [
    ...(name === "core" && runtime.length > 0 ? [`core must depend on nothing, has ${runtime.join(", ")}`] : []),
    ...(isPlugin && !manifest.peerDependencies?.["@dma-buf/core"]
      ? [`${name}: @dma-buf/core must be a peer dependency`]
      : []),
    ...(isPlugin && manifest.dependencies?.["@dma-buf/core"] ? [`${name}: a plugin never bundles core`] : []),
    ...(isPlugin && runtime.some((d) => /\/(exporter|importer)-/.test(d))
      ? [`${name}: a plugin never depends on another`]
      : []),
    ...sources.filter((s) => !existsSync(join(root, name, s))).map((s) => `${name}: ${s} does not exist`),
  ];
}
