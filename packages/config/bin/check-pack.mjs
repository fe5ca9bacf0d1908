// Packs the current package with pnpm (publishConfig and workspace: ranges applied) and judges the tarball itself.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const bin = (name) => join(import.meta.dirname, "..", "..", "..", "node_modules", ".bin", name);
const dir = mkdtempSync(join(tmpdir(), "pack-"));
try {
  execFileSync(bin("pnpm"), ["pack", "--pack-destination", dir], { stdio: "ignore" });
  const tgz = join(dir, readdirSync(dir)[0]);
  const pkg = JSON.parse(execFileSync("tar", ["-xzOf", tgz, "package/package.json"], { encoding: "utf8" }));
  if (JSON.stringify(pkg).includes("workspace:")) throw new Error("workspace: range left in the packed manifest");
  if (JSON.stringify(pkg.exports).includes('/source"')) throw new Error("private source condition left in exports");
  execFileSync(bin("publint"), ["run", tgz, "--strict"], { stdio: "inherit" });
  // Resolution as Node 20.19 and later, and bundlers, do it; node10 knows no subpath exports. A command has no types.
  if (!pkg.bin) execFileSync(bin("attw"), [tgz, "--profile", "node16", "--format", "ascii"], { stdio: "inherit" });
} finally {
  rmSync(dir, { recursive: true, force: true });
}
