/** Captures for tests: those of `machines/`, and small ones made here. */
import { readFileSync } from "node:fs";
import type { Tree } from "./tree.js";

export function machine(name: string): Buffer {
  return readFileSync(new URL(`../../../../machines/${name}`, import.meta.url));
}

export const LAPTOP: string = machine("laptop-nvidia-optane.lspci.txt").toString("utf8");
export const HEX_LAPTOP: string = machine("laptop-rtx3070ti-hex.lspci.txt").toString("utf8");
export const HEX_DESKTOP: string = machine("desktop-asus-p6t6.lspci-xxxx.txt").toString("utf8");

/** A tree of these files; a value that begins with `->` is a link. */
export function treeOf(files: Readonly<Record<string, string | Uint8Array>>): Tree {
  const value = (path: string): string | Uint8Array | undefined => files[path];
  const isLink = (at: string | Uint8Array | undefined): at is string => typeof at === "string" && at.startsWith("->");
  return {
    read(path) {
      const at = value(path);
      if (at === undefined || isLink(at)) return null;
      return typeof at === "string" ? new TextEncoder().encode(at) : at;
    },
    list(path) {
      const dir = path === "" || path.endsWith("/") ? path : `${path}/`;
      const below = Object.keys(files).filter((file) => file.startsWith(dir));
      return below.length === 0
        ? null
        : [...new Set(below.map((file) => file.slice(dir.length).split("/")[0] as string))];
    },
    link(path) {
      const at = value(path);
      return isLink(at) ? at.slice(2) : null;
    },
  };
}

/** Configuration space with these 16-bit registers set. */
export function configBytes(sizeBytes: number, registers: Readonly<Record<number, number>>): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  const view = new DataView(bytes.buffer);
  for (const [at, value] of Object.entries(registers)) view.setUint16(Number(at), value, true);
  return bytes;
}

/** Bytes as `lspci -xxxx` prints them. */
export function hexRows(bytes: Uint8Array): string {
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const values = [...bytes.subarray(at, at + 16)].map((byte) => byte.toString(16).padStart(2, "0"));
    rows.push(`${at.toString(16).padStart(2, "0")}: ${values.join(" ")}\n`);
  }
  return rows.join("");
}

export interface TarFile {
  readonly name: string;
  readonly type?: string;
  readonly link?: string;
  readonly text?: string;
}

/** An archive as GNU tar writes it. */
export function tarOf(files: readonly TarFile[]): Uint8Array {
  return Buffer.concat([...files.map(tarEntry), Buffer.alloc(1024)]);
}

function tarEntry({ name, type = "0", link = "", text = "" }: TarFile): Buffer {
  const header = Buffer.alloc(512);
  const body = Buffer.from(text);
  header.write(name, 0, 100);
  header.write("0000644\0".padEnd(8), 100);
  header.write(`${body.length.toString(8).padStart(11, "0")}\0`, 124);
  header.write(" ".repeat(8), 148);
  header.write(type, 156);
  header.write(link, 157, 100);
  header.write("ustar  \0", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}
