/** Files by path, wherever they are: a directory, an archive, a test. */

import { printableLines } from "./printable.js";

export interface Tree {
  /** `null`: no such file, or none that may be read. Links are followed, and never out of the tree. */
  read(path: string): Uint8Array | null;
  /** The names in a directory; `null`: no such directory. Links are followed. `""` is the top. */
  list(path: string): readonly string[] | null;
  /** Where a link points, as it is written; `null` for what is no link. */
  link(path: string): string | null;
}

/** The text of a file without the line's end. `tar` fills up with zeros what sysfs promised and did not deliver. */
export function textAt(tree: Tree, path: string): string | null {
  const bytes = tree.read(path);
  const text = bytes && printableLines(new TextDecoder().decode(bytes)).trim();
  return text === "" ? null : text;
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
