/** A directory of this host as a tree: / itself, or a copy of another host's sysfs. */
import { readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { join, sep } from "node:path";
import type { Tree } from "./tree.js";

/** @throws the error of the file system when there is no such directory */
export function directoryTree(path: string): Tree {
  const root = realpathSync(path);
  const inside = (real: string): boolean => real === root || real.startsWith(root.endsWith(sep) ? root : root + sep);
  /** A copied link may lead to this host's own sysfs, which is not what was asked for. */
  const whereIs = (at: string): string | null => {
    const real = realpathSync(join(root, at));
    return inside(real) ? real : null;
  };
  return {
    read: (at) =>
      attempt(
        () => whereIs(at),
        (real) => readFileSync(real),
      ),
    list: (at) =>
      attempt(
        () => whereIs(at),
        (real) => readdirSync(real),
      ),
    link: (at) =>
      attempt(
        () => join(root, at),
        (file) => readlinkSync(file),
      ),
  };
}

/** A file that is not there, or may not be read, is unknown like any other. */
function attempt<T>(find: () => string | null, read: (file: string) => T): T | null {
  try {
    const file = find();
    return file === null ? null : read(file);
  } catch {
    return null;
  }
}
