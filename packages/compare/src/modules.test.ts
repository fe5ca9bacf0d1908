import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { annotatedAddress, contracts, defineContract, dmaAddress, linux73, pfn } from "@dma-buf/core";
import { afterAll, describe, expect, it } from "vitest";
import { loadModules, nearest } from "./modules.js";

const dir = mkdtempSync(join(tmpdir(), "modules-"));
afterAll(() => rmSync(dir, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

/** As its author would write it, but as text. */
const { policy, ...good } = defineContract(dmaAddress, { id: "mine", title: "t" });
const row = { ...good.rows.mapDmaBuf };
const contract = (changes: object): string =>
  `export const contract = { ...${JSON.stringify({ ...good, policy, ...changes })}, *open() {} };`;

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
    ["title", contract({ title: undefined }), /contract\.title must be given, is undefined/],
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
    [
      "call",
      contract({ rows: { ...good.rows, mapDmabuf: row } }),
      /contract\.rows\.mapDmabuf must be one of attach, .*mapDmaBuf.*, is "mapDmabuf"/,
    ],
    [
      "errno",
      contract({ rows: { mapDmaBuf: { ...row, errors: { EWHAT: "no" } } } }),
      /contract\.rows\.mapDmaBuf\.errors\.EWHAT must be one of .*EINVAL.*, is "EWHAT"/,
    ],
    [
      "policy",
      contract({ policy: { ...policy, invalidat: "mandatory" } }),
      /contract\.policy\.invalidat must be left out: there is no such field here, is "mandatory"/,
    ],
    [
      "drain",
      contract({ policy: { ...policy, drain: ["fence"] } }),
      /contract\.policy\.drain\.0 must be one of fences, unmap, is "fence"/,
    ],
    [
      "life",
      contract({ lifeCycle: { attached: ["mapIt"], mapped: [] } }),
      /contract\.lifeCycle\.attached\.0 must be one of .*, is "mapIt"/,
    ],
    [
      "backing",
      contract({ policy: { ...policy, backing: ["getPfn"] } }),
      /contract\.policy\.backing\.0 must be a call that has a row in this contract, is "getPfn"/,
    ],
    ["open", `export default ${JSON.stringify({ ...good, policy })};`, /default\.open must be given, is undefined/],
    [
      "part",
      `${contract({})} export const players = { exporters: { cxl: () => {} } };`,
      /players\.exporters\.cxl must be left out, or one of vfio, gpu, udmabuf/,
    ],
    [
      "side",
      `${contract({})} export const players = { exporter: {} };`,
      /players\.exporter must be left out: there are exporters/,
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
