// The bundler, in one place: every package says what it builds, this file says how.
import { defineConfig } from "tsup";

const shared = {
  target: "node20",
  sourcemap: true,
  removeNodeProtocol: false,
  clean: true,
  // tsup 8.5.1 puts baseUrl into the dts program, which TypeScript 6 refuses unless silenced (egoist/tsup#1388).
  // composite and incremental must stay off here. With the source condition left out, a dependency's built d.ts is
  // read, so the order of ^build matters.
  dts: { compilerOptions: { ignoreDeprecations: "6.0", customConditions: [], composite: false, incremental: false } },
};

/** ESM + CJS + d.ts/d.cts. Splitting keeps one copy of every class when a package has several entries. `more` is tsup's own. */
export function library(entry, more = {}) {
  // Neutral resolves no builtins: an entry that needs Node imports them by their `node:` names, and keeps them.
  const external = [/^node:/];
  return defineConfig({
    ...shared,
    platform: "neutral",
    external,
    entry,
    format: ["esm", "cjs"],
    splitting: true,
    ...more,
  });
}

/** A plugin: its types, and one entry a contract. What it uses of scatterlist goes in, as all development dependencies do. */
export function plugin() {
  const contracts = ["dma-address", "vma", "pfn", "pfn-locked", "annotated-address", "linux-7.3"];
  return library(["index", ...contracts].map((name) => `src/${name}.ts`));
}

/** ESM only, without declarations, for a command line. */
export function command(entry) {
  return defineConfig({ ...shared, platform: "node", entry, format: ["esm"], splitting: true, dts: false });
}
