/** What every call asks of a range before it begins, and what it says if that is not so, in the order in which Linux asks. */
import { hex } from "@dma-buf/core";
import { refuse } from "../refuse.js";
import { PAGE_BYTES } from "./layout.js";
import type { Tables } from "./tables.js";

export class Ranges {
  readonly #tables: Tables;
  readonly #vaEnd: number;

  constructor(tables: Tables) {
    this.#tables = tables;
    this.#vaEnd = 2 ** tables.format.vaBits;
  }

  checkMap(va: number, physical: number, sizeBytes: number): void {
    const { oaEnd, format } = this.#tables;
    if (this.#fits(va, sizeBytes) && isPage(physical) && physical + sizeBytes <= oaEnd) return;
    const values = { va, physical, sizeBytes };
    this.checkAlive("map");
    const isLast = this.#fits(va, sizeBytes) && isPage(physical);
    // Linux looks at the first byte before all else, and at the last not at all.
    if (physical >= oaEnd || isLast)
      refuse(
        "ERANGE",
        "map",
        `physical ${hex(physical)} + ${hex(sizeBytes)} is beyond ${format.oaBits} bits of ${format.id}: it has no such memory`,
        values,
      );
    this.#refuse("map", va, sizeBytes, values);
  }

  check(op: string, va: number, sizeBytes: number): void {
    if (!this.#fits(va, sizeBytes)) this.#refuse(op, va, sizeBytes, { va, sizeBytes });
  }

  checkByte(op: string, va: number): void {
    this.checkAlive(op);
    if (!Number.isInteger(va) || va < 0)
      refuse("EINVAL", op, `va ${va} is no address: give a whole number from 0`, { va });
    const { id, vaBits } = this.#tables.format;
    if (va >= this.#vaEnd)
      refuse("ERANGE", op, `${hex(va)} is beyond ${vaBits} bits of ${id}: give a lower one`, { va });
  }

  /** Once it is destroyed, a page table holds no table. */
  checkAlive(op: string): void {
    const { held, format } = this.#tables;
    if (held === 0) refuse("EINVAL", op, "the page table was destroyed: make another", { format: format.id });
  }

  #fits(va: number, sizeBytes: number): boolean {
    const { held } = this.#tables;
    return va >= 0 && sizeBytes > 0 && va + sizeBytes <= this.#vaEnd && isPage(va) && isPage(sizeBytes) && held > 0;
  }

  #refuse(op: string, va: number, sizeBytes: number, values: Readonly<Record<string, number>>): never {
    const { id, vaBits } = this.#tables.format;
    const each = Object.entries(values);
    this.checkAlive(op);
    if (sizeBytes === 0) refuse("EINVAL", op, "size is 0: name at least one page", values);
    for (const [name, value] of each.filter(([, n]) => !(Number.isInteger(n) && n >= 0)))
      refuse("EINVAL", op, `${name} ${value} is no address: give a whole number from 0`, values);
    for (const [name, value] of each.filter(([, n]) => !Number.isSafeInteger(n)))
      refuse("EOVERFLOW", op, `${name} ${hex(value)} is no exact Number: stay below 2^53`, values);
    if (!Number.isSafeInteger(va + sizeBytes))
      refuse("EOVERFLOW", op, `${hex(va)} + ${hex(sizeBytes)} wraps: end below 2^53`, values);
    for (const [name, value] of each.filter(([, n]) => !isPage(n)))
      refuse("ENXIO", op, `${name} ${hex(value)} is no multiple of ${PAGE_BYTES}: align it`, values);
    return refuse("ERANGE", op, `${hex(va)} + ${hex(sizeBytes)} is beyond ${vaBits} bits of ${id}: map lower`, values);
  }
}

function isPage(value: number): boolean {
  const pages = value / PAGE_BYTES;
  return Math.floor(pages) === pages && pages >= 0;
}
