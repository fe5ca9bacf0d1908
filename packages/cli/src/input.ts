/** Reading a machine: a file that somebody saved, or the capture that comes with this package. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { type Capture, parseLspci } from "@dma-buf/pci";
import { InputError } from "./errors.js";

const BUNDLED = "laptop-nvidia-optane.lspci.txt";

/** @throws InputError for a file that cannot be read, CaptureError for one that is no capture. */
export function readMachine(path: string | undefined): Capture {
  const file = path ?? bundled();
  if (!existsSync(file)) throw new InputError(`${file}: no such file. Name one made with \`sudo lspci -vvv > FILE\``);
  if (!statSync(file).isFile())
    throw new InputError(`${file}: not a file. Name one made with \`sudo lspci -vvv > FILE\``);
  return parseLspci(readText(file), basename(file));
}

/** In the published package the captures lie beside `dist`; in the repository, at its root. */
function bundled(): string {
  const beside = fileURLToPath(new URL(`../machines/${BUNDLED}`, import.meta.url));
  return existsSync(beside) ? beside : fileURLToPath(new URL(`../../../machines/${BUNDLED}`, import.meta.url));
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new InputError(`${file}: cannot be read: ${(cause as Error).message}`, { cause });
  }
}
