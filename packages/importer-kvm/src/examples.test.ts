import { readFileSync } from "node:fs";
import { join } from "node:path";
import { examples } from "@dma-buf/config/examples";
import * as core from "@dma-buf/core";
import * as machine from "@dma-buf/machine";
import * as pageTable from "@dma-buf/page-table";
import * as pci from "@dma-buf/pci";
import { expect, it } from "vitest";
import * as api from "./index.js";
import { kvmImporter } from "./pfn.js";
import { rig } from "./testing/rig.js";

const ROOT = join(import.meta.dirname, "..");
const IMPORTABLE = { ...core, ...pageTable, ...machine, ...pci, ...api, kvmImporter };

/** A VM with private memory on a machine. */
examples(ROOT, () => {
  const { fw: framework, scheduler, kvm, vm: host } = rig("pfn", { privateMemory: true, guestPages: 16 });
  return { ...IMPORTABLE, framework, scheduler, host, kvm };
});

it("a block of the README can be pasted: it imports or makes each name that it uses", () => {
  const blocks = readFileSync(join(ROOT, "README.md"), "utf8").matchAll(/^```ts\n([\s\S]*?)^```$/gm);
  const missing = [...blocks].flatMap(({ 1: code = "" }) => {
    const imports = [...code.matchAll(/^import .*$/gm)].join("\n");
    const made = [...code.matchAll(/(?:const|let|function\*?) (?:\{ )?(\w+)/g)].map(([, name]) => name);
    const body = code.replaceAll(/^import .*$|\/\/.*$|"[^"]*"/gm, "");
    return [...Object.keys(IMPORTABLE), "framework", "scheduler", "host", "kvm"].filter(
      (name) =>
        new RegExp(`(?<![\\w.])${name}\\b(?!:)`).test(body) &&
        !new RegExp(`\\b${name}\\b`).test(imports) &&
        !made.includes(name),
    );
  });
  expect(missing).toEqual([]);
});
