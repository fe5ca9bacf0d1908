/** A capture that cannot be used: what is wrong with it, and how to get a better one. */
import { printable } from "./printable.js";

export type CaptureErrorCode =
  | "EMPTY"
  | "BINARY"
  /** Nothing in the text begins like a PCI function. */
  | "NO_FUNCTION"
  /** Names alone, without any detail of a function. */
  | "NAMES_ONLY"
  /** An address that a Number cannot hold: no CPU has that many bits. */
  | "ADDRESS_RANGE"
  /** Two BARs that decode the same address. */
  | "OVERLAP"
  /** Bridges whose bus numbers form no tree. */
  | "BUS_LOOP"
  /** An archive that is damaged. */
  | "ARCHIVE"
  | "ARCHIVE_ESCAPE"
  | "ARCHIVE_SIZE"
  | "JSON";

export class CaptureError extends Error {
  override readonly name = "CaptureError";
  readonly code: CaptureErrorCode;
  constructor(code: CaptureErrorCode, source: string, problem: string, remedy: string) {
    super(printable(`${source}: ${problem}. ${remedy}`));
    this.code = code;
  }
}
