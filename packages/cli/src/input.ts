/** Reading a machine: what somebody saved of a host, or the capture that comes with this package. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { Capture } from "@dma-buf/pci";
import { captureTree, directoryTree, parseCapture } from "@dma-buf/pci/node";
import { InputError } from "./errors.js";

const BUNDLED = "laptop-nvidia-optane.lspci.txt";
const REMEDY = "Name one made with `dma-buf capture --out FILE` or `sudo lspci -vvv > FILE`";
/** More than any host's sysfs, packed, and less than what would fill the memory. */
const BYTES_MAX = 256 * 2 ** 20;

/**
 * @param path a file, a directory with a sysfs tree, or `-` for stdin
 * @throws InputError for what cannot be read, CaptureError for what is no capture
 */
export function readMachine(path: string | undefined): Capture {
  if (path === "-") return parseCapture(readBytes(0, "stdin"), "stdin");
  const file = path ?? bundled();
  if (!existsSync(file)) throw new InputError(`${file}: no such file. ${REMEDY}`);
  const stat = statSync(file);
  if (stat.isDirectory()) return captureTree(directoryTree(file), basename(file));
  if (!stat.isFile()) throw new InputError(`${file}: neither a file nor a directory. ${REMEDY}`);
  if (stat.size > BYTES_MAX)
    throw new InputError(`${file}: ${stat.size} bytes, and a capture has at most ${BYTES_MAX}. ${REMEDY}`);
  return parseCapture(readBytes(file, file), basename(file));
}

/** In the published package the captures lie beside `dist`; in the repository, at its root. */
function bundled(): string {
  const beside = fileURLToPath(new URL(`../machines/${BUNDLED}`, import.meta.url));
  return existsSync(beside) ? beside : fileURLToPath(new URL(`../../../machines/${BUNDLED}`, import.meta.url));
}

function readBytes(file: string | number, name: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new InputError(`${name}: cannot be read: ${(cause as Error).message}`, { cause });
  }
}
