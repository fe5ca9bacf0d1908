/** The two lists of capabilities in configuration space, walked with a guard: a device may link them to themselves. */
export interface Capabilities {
  /** Offset by capability ID; the first of each. */
  readonly at: ReadonlyMap<number, number>;
  /** False where the list goes on beyond the bytes there are. */
  readonly whole: boolean;
}

/** The capability that makes a function an Express one. */
export const EXPRESS = 0x10;
const STATUS_HAS_LIST = 0x10;
/** Where conventional configuration space ends, and the extended one begins. */
const EXTENDED = 0x100;
const NONE: Capabilities = { at: new Map(), whole: true };

export function standardCapabilities(view: DataView): Capabilities {
  if ((view.getUint16(6, true) & STATUS_HAS_LIST) === 0) return NONE;
  const isCardBus = (view.getUint8(14) & 0x7f) === 2;
  return walk(view.getUint8(isCardBus ? 0x14 : 0x34) & ~3, (at) => {
    if (at + 2 > view.byteLength) return null;
    const id = view.getUint8(at);
    // No capability has ID 0. `tar` fills up with zeros what it was not allowed to read.
    return id === 0 ? null : { id, next: view.getUint8(at + 1) & ~3 };
  });
}

/** Only Express functions have extended space, and whether this is one may not be known. */
export function extendedCapabilities(view: DataView, standard: Capabilities): Capabilities {
  if (!standard.at.has(EXPRESS)) return { at: new Map(), whole: standard.whole };
  return walk(EXTENDED, (at) => {
    if (at + 4 > view.byteLength) return null;
    const header = view.getUint32(at, true);
    const isEmpty = header === 0 || header === 0xffff_ffff;
    return isEmpty ? { id: 0, next: 0 } : { id: header & 0xffff, next: (header >>> 20) & ~3 };
  });
}

function walk(first: number, read: (at: number) => { id: number; next: number } | null): Capabilities {
  const at = new Map<number, number>();
  const seen = new Set<number>();
  for (let offset = first; offset !== 0 && !seen.has(offset); ) {
    seen.add(offset);
    const entry = read(offset);
    if (!entry) return { at, whole: false };
    if (!at.has(entry.id)) at.set(entry.id, offset);
    offset = entry.next;
  }
  return { at, whole: true };
}
