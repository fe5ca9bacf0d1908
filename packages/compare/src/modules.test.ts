import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  annotatedAddress,
  type Contract,
  contracts,
  defineContract,
  dmaAddress,
  linux73,
  pfn,
  pfnLocked,
} from "@dma-buf/core";
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
    [
      "no backing",
      contract({ policy: { ...policy, backing: [] } }),
      /contract\.policy\.backing must be one call at least/,
    ],
    [
      "changes",
      "Math.max = () => 0;",
      /changes\.mjs: loading it changed Math\.max, which all code uses: a module exports, and changes nothing/,
    ],
    [
      "replaces",
      "globalThis.Map = class extends Map {};",
      /replaces\.mjs: loading it changed globalThis\.Map, which all/,
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

it("what a module changed while it was loaded is as it was", () =>
  expect([Math.max(1, 2), Object.getPrototypeOf(Map)]).toEqual([2, Function.prototype]));

it("a module may read our contracts, and not change them", async () => {
  const text = `${contract({})} contract.policy.device = "optional";`;
  const { columns } = await loadModules({ contractModules: [file("reads.mjs", contract({}))] });
  for (const one of [dmaAddress, columns[0]?.contract ?? {}, dmaAddress.rows.mapDmaBuf ?? {}])
    expect(Object.isFrozen(one)).toBe(true);
  await expect(loadModules({ contractModules: [file("own.mjs", text)] })).resolves.toBeDefined();
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

  // Seen as page frames, and else like nothing: of two columns that are, the first is nearest.
  const foreign = { ...pfnLocked, id: "mine", base: "9", rows: {}, *open() {} } as unknown as Contract;
  const { rows: renamed } = defineContract(pfnLocked, { id: "mine", title: "A title." });
  it.each<[string, Partial<Contract>, Contract]>([
    ["nothing but what it stands on", {}, pfn],
    ["the kernel", { base: pfnLocked.base }, pfnLocked],
    ["how a buffer is opened", { open: pfnLocked.open }, pfnLocked],
    ["rows, but for their ids", { rows: renamed }, pfnLocked],
    ["the kernel, which weighs less than how a buffer is opened", { base: pfnLocked.base, open: pfn.open }, pfn],
    ["all but what it stands on", { ...dmaAddress, policy: pfn.policy }, pfn],
  ])("like one of ours by %s", (_what, changes, like) => {
    expect(nearest({ ...foreign, ...changes }).contract).toBe(like);
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
