/** An archive as a tree. Nothing is unpacked to disk, and nothing in it leads out of it. */
// Packages that read this source do not include the folder, and so not its declarations.
// oxlint-disable-next-line typescript/triple-slash-reference
/// <reference path="./seek-bzip.d.ts" />
import { gunzipSync } from "node:zlib";
import Bunzip from "seek-bzip";
import { type ArchiveKind, archiveKind, isEmptyTar } from "./archive-kind.js";
import { CaptureError } from "./capture-error.js";
import { type TarEntry, tarEntries } from "./tar.js";
import type { Tree } from "./tree.js";

const MIB = 2 ** 20;
/** A host's whole sysfs is a tenth of either. */
export interface ArchiveLimits {
  /** @defaultValue 256 MiB */
  readonly unpackedBytes?: number;
  /** @defaultValue 1,000,000 */
  readonly entries?: number;
}

type Node =
  | { readonly kind: "file"; readonly bytes: Uint8Array }
  | { readonly kind: "directory"; readonly names: Set<string> }
  | { readonly kind: "link"; readonly target: string };

/** The kernel follows as many. */
const MAX_LINKS = 40;
/** The kernel takes no longer path, of an entry or of a link. */
const MAX_PATH = 4096;
const NOT_READ: ReadonlySet<ArchiveKind | null> = new Set<ArchiveKind>(["xz", "zstd", "zip"]);
const HOW = "Pack /sys/bus/pci/devices, /sys/devices, /sys/kernel/iommu_groups and /proc/cpuinfo again, with `tar`";

/** @throws CaptureError for an archive that is damaged, too large, or whose entries lie outside of it */
export function archiveTree(packed: Uint8Array, source: string, limits: ArchiveLimits = {}): Tree {
  const kind = archiveKind(packed);
  if (NOT_READ.has(kind))
    throw new CaptureError("ARCHIVE", source, `this is a ${kind} archive: pack it with gz or bz2`, HOW);
  const bytes = unpacked(packed, source, limits.unpackedBytes ?? 256 * MIB);
  const nodes = new Map<string, Node>([["", { kind: "directory", names: new Set() }]]);
  readTar(bytes, source, limits.entries ?? 1_000_000, (path, node) => add(nodes, path, node));
  return treeOf(nodes);
}

export function isArchive(bytes: Uint8Array): boolean {
  return archiveKind(bytes) !== null;
}

function unpacked(bytes: Uint8Array, source: string, limit: number): Uint8Array {
  try {
    if (bytes[0] === 0x1f) return gunzipSync(bytes, { maxOutputLength: limit });
    if (bytes[0] === 0x42) return bunzip(bytes, limit);
  } catch (error) {
    const isSize = (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE" || error instanceof TooLarge;
    if (isSize) throw new CaptureError("ARCHIVE_SIZE", source, `it unpacks to more than ${limit} bytes`, HOW);
    throw new CaptureError("ARCHIVE", source, `it does not unpack: ${(error as Error).message}`, HOW);
  }
  if (bytes.length > limit) throw new CaptureError("ARCHIVE_SIZE", source, `it has more than ${limit} bytes`, HOW);
  return bytes;
}

class TooLarge extends Error {}

/** Byte by byte, so that a bomb stops at the limit. */
function bunzip(packed: Uint8Array, limit: number): Uint8Array {
  let bytes = new Uint8Array(MIB);
  let length = 0;
  const writeByte = (byte: number): void => {
    if (length >= limit) throw new TooLarge();
    if (length === bytes.length) {
      const larger = new Uint8Array(2 * length);
      larger.set(bytes);
      bytes = larger;
    }
    bytes[length++] = byte;
  };
  Bunzip.decode(Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength), { writeByte }, true);
  return bytes.subarray(0, length);
}

function readTar(
  bytes: Uint8Array,
  source: string,
  maxEntries: number,
  found: (path: string, node: Node) => void,
): void {
  let entries = 0;
  for (const entry of entriesOf(bytes, source)) {
    const path = cleanPath(entry.path);
    if (++entries > maxEntries)
      throw new CaptureError("ARCHIVE_SIZE", source, `it has more than ${maxEntries} entries`, HOW);
    if (path === null)
      throw new CaptureError("ARCHIVE_ESCAPE", source, `its entry ${entry.path.slice(0, 80)} lies outside of it`, HOW);
    if (Math.max(entry.path.length, entry.linkTarget.length) > MAX_PATH)
      throw new CaptureError("ARCHIVE", source, `${entry.path.slice(0, 80)} has a path of over ${MAX_PATH} bytes`, HOW);
    const node = nodeOf(entry);
    if (node) found(path, node);
  }
  if (entries > 0) return;
  const isEmpty = bytes.length === 0 || isEmptyTar(bytes);
  throw new CaptureError("ARCHIVE", source, isEmpty ? "it has no entries" : "there is no tar archive in it", HOW);
}

function* entriesOf(bytes: Uint8Array, source: string): Generator<TarEntry, void> {
  try {
    yield* tarEntries(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new CaptureError("ARCHIVE", source, `it is damaged: ${error.message}`, HOW);
  }
}

function nodeOf({ kind, bytes, linkTarget }: TarEntry): Node | null {
  if (kind === "file") return { kind, bytes };
  if (kind === "directory") return { kind, names: new Set() };
  if (kind === "symlink") return { kind: "link", target: linkTarget };
  // A hard link names its file from the archive's top.
  return kind === "hardlink" ? { kind: "link", target: `/${linkTarget}` } : null;
}

/** Without `.` and slashes too many; `null` for a path that leaves the archive. */
function cleanPath(path: string): string | null {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  return path.startsWith("/") || parts.includes("..") ? null : parts.join("/");
}

function add(nodes: Map<string, Node>, path: string, node: Node): void {
  const known = nodes.get(path);
  if (!known || known.kind !== "directory" || node.kind !== "directory") nodes.set(path, node);
  // Archives may leave out the directories above an entry.
  for (let child = path; child !== ""; ) {
    const parent = child.includes("/") ? child.slice(0, child.lastIndexOf("/")) : "";
    const above = nodes.get(parent);
    const names = above?.kind === "directory" ? above.names : new Set<string>();
    if (above?.kind !== "directory") nodes.set(parent, { kind: "directory", names });
    const name = child.slice(parent === "" ? 0 : parent.length + 1);
    if (names.has(name)) return;
    names.add(name);
    child = parent;
  }
}

function treeOf(nodes: ReadonlyMap<string, Node>): Tree {
  return {
    read(path) {
      const node = resolve(nodes, path);
      return node?.kind === "file" ? node.bytes : null;
    },
    list(path) {
      const node = resolve(nodes, path);
      return node?.kind === "directory" ? [...node.names] : null;
    },
    link(path) {
      const parts = path.split("/").filter((part) => part !== "");
      const name = parts.pop();
      const parent = walk(nodes, parts);
      const node = parent === null || name === undefined ? null : nodes.get([...parent, name].join("/"));
      return node?.kind === "link" ? node.target : null;
    },
  };
}

function resolve(nodes: ReadonlyMap<string, Node>, path: string): Node | null {
  const found = walk(nodes, path.split("/"));
  return found === null ? null : (nodes.get(found.join("/")) ?? null);
}

/** The parts of where a path leads, links followed; `null` where it climbs out, is nothing, or goes round in circles. */
function walk(nodes: ReadonlyMap<string, Node>, path: readonly string[]): string[] | null {
  const todo = path.toReversed();
  let at: string[] = [];
  for (let links = 0; ; ) {
    const part = todo.pop();
    if (part === undefined) return at;
    if (part === "" || part === ".") continue;
    if (part === ".." && at.pop() === undefined) return null;
    if (part === "..") continue;
    const node = nodes.get([...at, part].join("/"));
    if (!node) return null;
    if (node.kind === "link") {
      if (++links > MAX_LINKS) return null;
      if (node.target.startsWith("/")) at = [];
      todo.push(...node.target.split("/").toReversed());
    } else at.push(part);
  }
}
