/** The tar format, as far as archives of sysfs use it: files, directories, links, and the two ways of long names. */

export interface TarEntry {
  readonly path: string;
  readonly kind: "file" | "directory" | "symlink" | "hardlink" | "other";
  readonly linkTarget: string;
  readonly bytes: Uint8Array;
}

/** Everything begins at a multiple of it. */
export const BLOCK = 512;
const CHECKSUM_AT = 148;
const CHECKSUM_BYTES = 8;
const KINDS: Readonly<Record<string, TarEntry["kind"]>> = {
  "": "file",
  "0": "file",
  "7": "file",
  "1": "hardlink",
  "2": "symlink",
  "5": "directory",
};

/** What an entry before the entry says of it: names that its own fields cannot hold. */
type Extended = ReadonlyMap<string, string>;

const NOTHING: Extended = new Map();

/** @throws TypeError where a header's checksum is wrong, or an entry ends beyond the archive */
export function* tarEntries(archive: Uint8Array): Generator<TarEntry, void> {
  let extended = NOTHING;
  let common = NOTHING;
  for (let at = 0; at + BLOCK <= archive.length; ) {
    const header = archive.subarray(at, at + BLOCK);
    // Two empty blocks end an archive; after one, nothing sensible comes either.
    if (header.every((byte) => byte === 0)) return;
    if (!hasChecksum(header)) throw new TypeError(`no header at byte ${at}`);
    const type = textIn(header, 156, 1);
    const sizeBytes = Number(extended.get("size") ?? numberIn(header, 124, 12));
    const end = at + BLOCK + sizeBytes;
    if (!(end <= archive.length)) throw new TypeError(`the entry at byte ${at} ends beyond the archive`);
    const bytes = archive.subarray(at + BLOCK, end);
    if (type === "x") extended = new Map([...extended, ...paxRecords(bytes)]);
    else if (type === "g") common = new Map([...common, ...paxRecords(bytes)]);
    else if (type === "L" || type === "K")
      extended = new Map([...extended, [type === "L" ? "path" : "linkpath", textIn(bytes, 0, bytes.length)]]);
    else {
      yield entryOf(header, type, bytes, new Map([...common, ...extended]));
      extended = NOTHING;
    }
    at += BLOCK + Math.ceil(sizeBytes / BLOCK) * BLOCK;
  }
}

function entryOf(header: Uint8Array, type: string, bytes: Uint8Array, extended: Extended): TarEntry {
  // Only POSIX archives split a name; GNU ones have times there.
  const prefix = textIn(header, 257, 6) === "ustar" ? textIn(header, 345, 155) : "";
  const name = textIn(header, 0, 100);
  const path = extended.get("path") ?? (prefix === "" ? name : `${prefix}/${name}`);
  const isDirectory = type !== "5" && path.endsWith("/") && KINDS[type] === "file";
  return {
    path,
    kind: isDirectory ? "directory" : (KINDS[type] ?? "other"),
    linkTarget: extended.get("linkpath") ?? textIn(header, 157, 100),
    bytes,
  };
}

/** The sum of all bytes, its own field taken as spaces. */
function hasChecksum(header: Uint8Array): boolean {
  const isOwn = (i: number): boolean => i >= CHECKSUM_AT && i < CHECKSUM_AT + CHECKSUM_BYTES;
  const sum = header.reduce((total, byte, i) => total + (isOwn(i) ? 0x20 : byte), 0);
  return sum === numberIn(header, CHECKSUM_AT, CHECKSUM_BYTES);
}

/** Octal digits; where they would not fit, a binary number behind a first byte of 0x80. */
function numberIn(block: Uint8Array, at: number, length: number): number {
  if (block[at] === 0x80) return block.subarray(at + 1, at + length).reduce((value, byte) => value * 256 + byte, 0);
  const digits = textIn(block, at, length).trim();
  return /^[0-7]*$/.test(digits) ? parseInt(digits || "0", 8) : NaN;
}

function textIn(block: Uint8Array, at: number, length: number): string {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}

/** `30 path=some/name\n`, the number counting the whole record. */
function paxRecords(bytes: Uint8Array): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const length = parseInt(textIn(bytes, at, 20), 10);
    const record = /^\d+ ([^=]+)=(.*)\n$/s.exec(textIn(bytes, at, length || 0));
    if (!record) break;
    records.set(record[1] as string, record[2] as string);
    at += length;
  }
  return records;
}
