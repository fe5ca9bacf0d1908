// The C baselines, compiled here into one addon and loaded into this process, so that a pair is one process.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { include_dir as headers } from "node-api-headers";

const SOURCES = ["baseline.c", "page-table.c"].map((name) => join(import.meta.dirname, name));

/** The functions of the sources, or `null` where there is no C compiler: those rows are then left out, and said so. */
export function loadNative() {
  const compiler = process.env["CC"] ?? "cc";
  if (spawnSync(compiler, ["--version"]).status !== 0) return null;
  const build = join(import.meta.dirname, "build");
  mkdirSync(build, { recursive: true });
  const addon = join(build, "baseline.node");
  const flags = ["-O3", "-Wall", "-Werror", "-shared", "-fPIC", `-I${headers}`];
  execFileSync(compiler, [...flags, ...SOURCES, "-o", addon], { stdio: "inherit" });
  return createRequire(import.meta.url)(addon);
}
