/** For each kind of verdict: what makes it is taken away, and another one comes. */
import type { Framework, Op } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { bind } from "./binding.js";
import { readScenarios } from "./catalogue.js";
import type { Column, Players } from "./column.js";
import { columns } from "./columns/index.js";
import { playAll } from "./readings.js";
import type { VerdictKind } from "./result.js";
import { AS_POSTED, CONFORMING } from "./run.js";
import type { Scenario } from "./scenario/scenario.js";
import type { Cast } from "./world/stage.js";

const catalogue = readScenarios();
const scenario = (id: string): Scenario => catalogue.find((s) => s.id === id) as Scenario;
const column = (id: string): Column => columns.find((c) => c.contract.id === id) as Column;

/** What is played, and what of it is changed. */
interface Change {
  readonly scenario?: (given: Scenario) => Scenario;
  readonly column?: (given: Column) => Column;
  readonly cast?: Cast;
}

function verdict(id: string, contract: string, change: Change = {}): VerdictKind {
  const of = (change.scenario ?? same)(scenario(id));
  const played = playAll({
    scenario: of,
    column: (change.column ?? same)(column(contract)),
    binding: bind(of, null),
    cast: change.cast ?? CONFORMING,
    forwards: of.topology.forwards !== "no",
  });
  return played.verdict.verdict;
}

const same = <T>(value: T): T => value;
const topology =
  (more: Partial<Scenario["topology"]>): NonNullable<Change["scenario"]> =>
  (s) => ({ ...s, topology: { ...s.topology, ...more } });
const modifier = (name: string, value: string | boolean): NonNullable<Change["scenario"]> => {
  return (s) => ({ ...s, topology: { ...s.topology, modifiers: { ...s.topology.modifiers, [name]: value } } });
};
const importer =
  <K extends keyof Players["importers"]>(
    kind: K,
    wrap: (made: Players["importers"][K]) => Players["importers"][K],
  ): NonNullable<Change["column"]> =>
  ({ contract, players }) => ({
    contract,
    players: { ...players, importers: { ...players.importers, [kind]: wrap(players.importers[kind]) } },
  });
/** Every exporter of a BAR gets a framework on which one call does something else. */
const framework =
  (patch: (fw: Framework) => void): NonNullable<Change["column"]> =>
  ({ contract, players }) => ({
    contract,
    players: {
      ...players,
      exporters: {
        ...players.exporters,
        vfio: (options) => (fw, host) => {
          patch(fw);
          return players.exporters.vfio(options)(fw, host);
        },
      },
    },
  });
function* nothing(): Op<void> {}

describe("OK", () => {
  it.each<[string, string, string, Change, VerdictKind]>([
    [
      "KVM's TLB flush",
      "S34a",
      "pfn",
      { column: importer("kvm", (kvm) => (o) => kvm({ ...o, flush: false })) },
      "STALE",
    ],
    ["KVM's retry", "S34a", "pfn", { column: importer("kvm", (kvm) => (o) => kvm({ ...o, retry: false })) }, "STALE"],
    ["the invalidate", "S37d", "dma-address", { column: framework((fw) => void (fw.invalidate = nothing)) }, "STALE"],
    ["the route", "S03a", "dma-address", { scenario: topology({ forwards: "no" }) }, "CORRUPT"],
    ["the last put", "S17a", "pfn", { column: framework(forgetful) }, "RESLEAK"],
    ["the switch", "S01a", "pfn-locked", { scenario: topology({ acs: "redirect" }) }, "REFUSED"],
  ])("without %s (%s, %s)", (_what, id, contract, change, after) => {
    expect([verdict(id, contract), verdict(id, contract, change)]).toEqual(["OK", after]);
  });
});

/** The first put of a run is forgotten. */
function forgetful(fw: Framework): void {
  const put = fw.put.bind(fw);
  let puts = 0;
  fw.put = (buf) => (puts++ === 0 ? nothing() : put(buf));
}

describe("every other kind is OK, or another, without what makes it", () => {
  it.each<[VerdictKind, string, string, string, Change, VerdictKind]>([
    ["REFUSED", "the offset that a page frame lacks", "S02a", "pfn", { scenario: topology({ offset: "zero" }) }, "OK"],
    [
      "DEGRADED",
      "the ACS redirect that closes the way",
      "S04a",
      "dma-address",
      { scenario: topology({ acs: "clear" }) },
      "OK",
    ],
    [
      "FAULT",
      "the IOMMU that stops a foreign address",
      "S06a",
      "dma-address",
      { scenario: topology({ iommu: "off" }) },
      "OK",
    ],
    ["CORRUPT", "the root complex that drops", "S04e", "linux-7.3", { scenario: topology({ forwards: "yes" }) }, "OK"],
    [
      "STALE",
      "the importer that never retries",
      "S34c",
      "pfn",
      { column: importer("rdma", (rdma) => (o) => rdma({ ...o, guards: { ...o?.guards, retry: true } })) },
      "OK",
    ],
    [
      "DISCLOSE",
      "the platform that lets it through",
      "S32b",
      "pfn",
      { scenario: modifier("sharedAccess", "rejected") },
      "FAULT",
    ],
    [
      "RESLEAK",
      "the importer that detaches without an unmap",
      "S51",
      "dma-address",
      { column: importer("rdma", (rdma) => (o) => rdma({ ...o, guards: { ...o?.guards, unmap: true } })) },
      "OK",
    ],
    [
      "CRASH",
      "the debug option that mangles pages",
      "S61b",
      "dma-address",
      { scenario: modifier("debug", "off") },
      "OK",
    ],
    [
      "HANG",
      "the importer that never unmaps",
      "S46b",
      "linux-7.3",
      { column: importer("rdma", (rdma) => (o) => rdma({ ...o, guards: { ...o?.guards, zap: true } })) },
      "OK",
    ],
    [
      "UNSPEC",
      "the second reading",
      "S07",
      "dma-address",
      { scenario: (s) => ({ ...s, readings: s.readings.slice(0, 1) }) },
      "OK",
    ],
    ["NA", "the reason why not", "S57a", "dma-address", { scenario: (s) => ({ ...s, unbuildable: {} }) }, "OK"],
  ])("%s: %s (%s, %s)", (kind, _what, id, contract, change, after) => {
    expect([verdict(id, contract), verdict(id, contract, change)]).toEqual([kind, after]);
  });
});

it("what is posted is another thing than what conforms", () => {
  expect([verdict("S02a", "dma-address"), verdict("S02a", "dma-address", { cast: AS_POSTED })]).toEqual([
    "OK",
    "CORRUPT",
  ]);
});

describe("a reading in which somebody breaks a rule of the contract", () => {
  const reading = (unmapsBeforeDetach: boolean): Scenario["readings"][number] => ({
    name: String(unmapsBeforeDetach),
    importers: { nic: { unmapsBeforeDetach } },
    posted: false,
  });
  const read = (more: Partial<Scenario>): NonNullable<Change["scenario"]> => {
    return (s) => ({ ...s, fault: null, readings: [reading(true), reading(false)], ...more });
  };

  it.each<[string, Partial<Scenario>, VerdictKind]>([
    ["is none", {}, "OK"],
    ["counts where it is the question", { fault: { party: "importer", what: "detaches without an unmap" } }, "UNSPEC"],
    ["is shown where there is no other", { readings: [reading(false)] }, "RESLEAK"],
  ])("%s", (_what, more, kind) => expect(verdict("S51", "dma-address", { scenario: read(more) })).toBe(kind));

  it("is left to the scenario where no call of the contract sees it", () => {
    expect([verdict("S38a", "dma-address"), verdict("S38a", "linux-7.3")]).toEqual(["UNSPEC", "OK"]);
  });
});
