/** A capture out of bytes, whatever a host or a person put in them. */
import type { Capture } from "./capture.js";
import { archiveKind } from "./archive-kind.js";
import { CaptureError } from "./capture-error.js";
import { captureFromJson } from "./json.js";
import { parseLspci } from "./lspci.js";

/**
 * Reads text: lspci's, with bytes or without, or `dma-buf capture`'s JSON. `@dma-buf/pci/node` reads archives too.
 * @throws CaptureError for what is no capture, or cannot be of one host
 */
export function parseCapture(bytes: Uint8Array | string, source: string): Capture {
  if (typeof bytes !== "string" && archiveKind(bytes) !== null)
    throw new CaptureError(
      "BINARY",
      source,
      "this is an archive",
      "Read it with @dma-buf/pci/node, or unpack it first",
    );
  const text = typeof bytes === "string" ? bytes : decoded(bytes);
  return text.trimStart().startsWith("{") ? captureFromJson(text, source) : parseLspci(text, source);
}

/** PowerShell writes UTF-16; what is no UTF-8 is Latin-1, for the sake of one vendor's name. */
function decoded(bytes: Uint8Array): string {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return new TextDecoder("utf-16le").decode(bytes);
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return new TextDecoder("utf-16be").decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("latin1").decode(bytes);
  }
}
