/** Writing a file of ours: whole, or not at all. */
import { existsSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { InputError } from "./errors.js";

/** Before hours of work: is there a place for it? @throws InputError */
export function checkPlace(file: string): void {
  if (!existsSync(dirname(file)))
    throw new InputError(`${file}: ${dirname(file)} is no directory. Make it, or name a file elsewhere`);
  if (existsSync(file) && statSync(file).isDirectory())
    throw new InputError(`${file}: is a directory. Name a file in it`);
}

/** A file that is there already is replaced, once the new one is whole. @throws InputError where it cannot be written */
export function save(file: string, text: string): void {
  const part = `${file}.part`;
  try {
    writeFileSync(part, text);
    renameSync(part, file);
  } catch (cause) {
    rmSync(part, { force: true });
    throw new InputError(`${file}: cannot be written: ${(cause as Error).message}`, { cause });
  }
}
