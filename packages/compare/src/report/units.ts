/** Sizes and counts as people read them. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** `64 KiB` */
export function sizeText(bytes: number): string {
  const unit = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), UNITS.length - 1);
  const value = bytes / 2 ** (10 * unit);
  return `${Number.isInteger(value) ? value : value.toFixed(2)} ${UNITS[unit]}`;
}

/** `1,024` */
export function countText(n: number): string {
  return n.toLocaleString("en-US");
}

/** `1 cell`, `2 cells` */
export function plural(n: number, one: string, more = `${one}s`): string {
  return `${countText(n)} ${n === 1 ? one : more}`;
}
