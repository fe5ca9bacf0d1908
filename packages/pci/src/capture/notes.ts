/** What a reader could not tell, noted while it reads. */
import { addr, type PhysAddr } from "@dma-buf/core";
import type { Skipped, Unknown } from "./capture.js";
import { CaptureError } from "./capture-error.js";
import { printable } from "./printable.js";

/** Long enough to recognize a line, short enough for a terminal. */
const TEXT_CHARS = 80;

export class Notes {
  readonly source: string;
  readonly unknown: Unknown[] = [];
  readonly skipped: Skipped[] = [];

  constructor(source: string) {
    this.source = printable(source);
  }

  lacks(what: string, because: string, capture: string): void {
    this.unknown.push({ what: printable(what), because, capture });
  }

  skip(where: string, text: string, because: string): void {
    this.skipped.push({ where: printable(where), text: printable(text).slice(0, TEXT_CHARS), because });
  }

  /** @throws CaptureError for a number that no address bus carries: rounding it would move the BAR. */
  address(digits: string, what: string): PhysAddr {
    const value = BigInt(`0x${digits}`);
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return addr<PhysAddr>(Number(value));
    throw new CaptureError(
      "ADDRESS_RANGE",
      this.source,
      `${what} is at 0x${digits}, and addresses end below 2^53`,
      "If the capture was edited, take it again; if not, the device gave no true answer",
    );
  }
}
