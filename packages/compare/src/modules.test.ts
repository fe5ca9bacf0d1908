import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { annotatedAddress, contracts, defineContract, linux73, pfn } from "@dma-buf/core";
import { afterAll, describe, expect, it } from "vitest";
import { loadModules, nearest } from "./modules.js";

const dir = mkdtempSync(join(tmpdir(), "modules-"));
afterAll(() => rmSync(dir, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

const row = { id: "mine/x", errors: {}, kernelName: {}, resv: "held" };
const policy = { device: "always", backing: ["mapDmaBuf"], drain: [] };
const good = { id: "mine", title: "t", base: "6.13", rows: { mapDmaBuf: row }, lifeCycle: {}, policy, defects: [] };
const contract = (changes: object): string =>
  `export const contract = { ...${JSON.stringify({ ...good, ...changes })}, *open() {} };`;

describe("a contract's module with a mistake is told with its name, the field, and what was expected", () => {
  it.each([
    ["syntax", "export const contract = {\n  id: 'x',\n  title 'y'\n};", /syntax\.mjs: cannot be loaded: .*3/s],
    ["throws", "throw new RangeError('not today')", /throws\.mjs: cannot be loaded: RangeError: not today/],
    [
      "nothing",
      "export const other = 1;",
      /nothing\.mjs: export default must be a contract made by defineContract\(\), is undefined/,
    ],
    ["id", contract({ id: 7 }), /id\.mjs: contract\.id must be letters, digits, dots and dashes, is 7/],
    ["title", contract({ title: undefined }), /contract\.title must be a text, is undefined/],
    [
      "row",
      contract({ rows: { mapDmaBuf: { ...row, resv: "maybe" } } }),
      /contract\.rows\.mapDmaBuf\.resv must be one of held, free, either, is "maybe"/,
    ],
    [
      "device",
      contract({ policy: { ...policy, device: "sometimes" } }),
      /contract\.policy\.device must be one of always, .*, is "sometimes"/,
    ],
    ["open", `export default ${JSON.stringify(good)};`, /default\.open must be a generator function, is undefined/],
    [
      "part",
      `${contract({})} export const players = { exporters: { cxl: () => {} } };`,
      /players\.exporters\.cxl must be left out, or one of vfio, gpu, udmabuf/,
    ],
    [
      "player",
      `${contract({})} export const players = { importers: { kvm: 1 } };`,
      /players\.importers\.kvm must be a factory, .*, is 1/,
    ],
  ])("%s", async (name, text, message) => {
    await expect(loadModules({ contractModules: [file(`${name}.mjs`, text)] })).rejects.toThrow(message);
  });
});

describe("a package's module with a mistake", () => {
  const door = { schemaVersion: 1, kind: "exporter", name: "cxl", contracts: ["pfn"], capabilities: [] };
  const plugin = (changes: object): string =>
    `export const dmaBufPlugin = { ...${JSON.stringify({ ...door, ...changes })}, create() {} };`;
  it.each([
    ["no-door", "", /no-door\.mjs: dmaBufPlugin must be an object/],
    ["version", plugin({ schemaVersion: 2 }), /dmaBufPlugin\.schemaVersion must be 1, is 2/],
    [
      "kind",
      plugin({ kind: "importer" }),
      /dmaBufPlugin\.kind must be "exporter": it was given as --exporter, is "importer"/,
    ],
    [
      "plays",
      plugin({}),
      /dmaBufPlugin\.plays must be one of vfio-pci, gpu, amdgpu, udmabuf, is undefined: "cxl" is the name of none/,
    ],
    ["object", plugin({ plays: "constructor" }), /dmaBufPlugin\.plays must be one of/],
  ])("%s", async (name, text, message) => {
    await expect(loadModules({ exporterModules: [file(`${name}.mjs`, text)] })).rejects.toThrow(message);
  });
});

describe("whose packages play", () => {
  it("under each of ours, its own", () => {
    expect(contracts.map((c) => nearest(c).contract.id)).toEqual(contracts.map((c) => c.id));
  });

  it.each([linux73, annotatedAddress, pfn])("under a contract that changes little of $id, those", (base) => {
    const changes = { id: "mine", title: "A title.", policy: { invalidate: "mandatory" } } as const;
    expect(nearest(defineContract(base, changes)).contract).toBe(base);
    expect(
      nearest(
        defineContract(base, {
          ...changes,
          *open(fw, at, direction) {
            return yield* base.open(fw, at, direction);
          },
        }),
      ).contract,
    ).toBe(base);
  });
});
