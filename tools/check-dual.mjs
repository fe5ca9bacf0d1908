// Importing a package both ways in one process must give one copy: classes and symbols would differ otherwise.
// Needs a build.
import { createRequire } from "node:module";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const root = join(import.meta.dirname, "..", "packages");
let checked = 0;
for (const name of readdirSync(root)) {
  const manifest = JSON.parse(readFileSync(join(root, name, "package.json"), "utf8"));
  if (manifest.private || manifest.bin) continue;
  // The published exports, resolved as an installed package's are: through the condition that both loaders share.
  const require = createRequire(join(root, name, "package.json"));
  for (const [subpath, conditions] of Object.entries(manifest.publishConfig.exports)) {
    if (typeof conditions === "string") continue;
    const imported = await import(pathToFileURL(join(root, name, conditions.import.default)).href);
    const required = require(manifest.name + subpath.slice(1));
    for (const key of Object.keys(imported))
      if (imported[key] !== required[key])
        throw new Error(`${manifest.name}${subpath.slice(1)}: ${key} is not the same by import and require`);
    checked++;
  }
}
console.log(`${checked} entries: one copy by import and by require`);
