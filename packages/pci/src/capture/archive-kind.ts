/** What packed a file, by its first bytes. */
export type ArchiveKind = "gzip" | "bzip2" | "tar" | "xz" | "zstd" | "zip";

const BLOCK = 512;
const MAGIC: readonly (readonly [ArchiveKind, string])[] = [
  ["gzip", "\x1f\x8b"],
  ["bzip2", "BZh"],
  ["xz", "\xfd7zXZ\0"],
  ["zstd", "\x28\xb5\x2f\xfd"],
  ["zip", "PK\x03\x04"],
];

/** `null`: no archive. */
export function archiveKind(bytes: Uint8Array): ArchiveKind | null {
  const head = String.fromCharCode(...bytes.subarray(0, BLOCK));
  const found = MAGIC.find(([, magic]) => head.startsWith(magic));
  if (found) return found[0];
  return head.startsWith("ustar", 257) || isEmptyTar(bytes) ? "tar" : null;
}

/** An empty block ends a tar: one that begins with it has nothing. */
export function isEmptyTar(bytes: Uint8Array): boolean {
  return bytes.length >= BLOCK && bytes.subarray(0, BLOCK).every((byte) => byte === 0);
}
