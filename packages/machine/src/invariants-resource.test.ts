/** Where the line is of what is taken and given back: what those invariants let pass, beside what they do not. */
import { addr, type Gpa } from "@dma-buf/core";
import { ept } from "@dma-buf/page-table";
import { expect, it } from "vitest";
import { GuestVm } from "./guest.js";
import { checkInvariants } from "./invariants.js";
import type { SurfaceStage } from "./invariants-evidence.js";
import { EvidenceLog } from "./invariants-log.js";
import { BAR, RAM, rig, type Rig } from "./testing.js";

const GPA = addr<Gpa>(0x1_0000_0000);
const RW = { read: true, write: true, cache: "uc" } as const;
const PAGE = [{ base: BAR, sizeBytes: 4096 }];

interface Case extends Rig {
  readonly log: EvidenceLog;
}

/** Violations of a run, as text. */
function said(play: (on: Case) => void): string[] {
  const r = rig({ iommu: "translated" });
  const log = new EvidenceLog(r.machine);
  play({ ...r, log });
  return checkInvariants(log).map((v) => `${v.invariant}: ${v.what}`);
}

it("I5: a small range inside a large one does not hide a third", () => {
  const exported = [{ base: BAR, sizeBytes: 12_288 }];
  const pages = [BAR + 4096, BAR + 8192].map((base) => ({ base, sizeBytes: 4096 }));
  expect(said((on) => on.log.maps("nic", exported, [...exported, ...pages]))).toEqual([
    "I5: nic maps 4096 bytes at 0x4000001000: a part of that is mapped twice",
    "I5: nic maps 4096 bytes at 0x4000002000: a part of that is mapped twice",
  ]);
});

it("I5: a range over two exported ones that meet is inside; a byte twice is not", () => {
  const exported = [
    { base: BAR, sizeBytes: 4096 },
    { base: BAR + 4096, sizeBytes: 4096 },
  ];
  const both = { base: BAR, sizeBytes: 8192 };
  expect(said((on) => on.log.maps("nic", exported, [both]))).toEqual([]);
  expect(said((on) => on.log.maps("nic", PAGE, [both]))).toEqual([
    "I5: nic maps 8192 bytes at 0x4000000000: a part of that is not in what was exported",
  ]);
  expect(said((on) => on.log.maps("nic", exported, [both, { base: BAR + 4096, sizeBytes: 4096 }]))).toEqual([
    "I5: nic maps 4096 bytes at 0x4000001000: a part of that is mapped twice",
  ]);
});

it("I7: a thing that is given back twice, and a table that stays", () => {
  expect(
    said((on) => {
      on.log.took("pin", "a", "nic");
      for (let i = 0; i < 2; i++) on.log.gaveBack("pin", "a", "nic");
      on.log.took("pin", "a", "gpu");
      on.machine.pageTable("another", ept);
      on.log.close();
    }),
  ).toEqual([
    "I7: nic gave back pin a once more than it was taken",
    "I7: pin a was never given back",
    "I7: from beginning to end, what is out changed by +1 tables",
  ]);
});

it("I7: what was out before and is not any more", () => {
  const violations = said((on) => {
    const at = on.nic.dma.mapPhys(RAM, 4096, "bidirectional", { mmio: false });
    const log = new EvidenceLog(on.machine);
    on.nic.dma.unmapPhys(at, 4096);
    log.close();
    on.log.books = log.books;
  });
  expect(violations).toEqual([
    expect.stringMatching(/^I7: from beginning to end, what is out changed by -1 dmaMappings/),
  ]);
});

it("I7: what a TLB has cached is not given back, and is not missed", () => {
  const violations = said((on) => {
    const vm = new GuestVm(on.machine, "guest", false);
    vm.table.map(GPA, RAM, 4096, RW);
    on.run(vm.read(GPA, 8));
    vm.destroy();
    on.log.close();
  });
  expect(violations.filter((v) => v.startsWith("I7"))).toEqual([]);
});

it("I8: an importer that breaks its promise excuses the exporter", () => {
  expect(said((on) => on.log.revoke("BAR 0", PAGE).promiseBroken("nic"))).toEqual([]);
});

it.each<[SurfaceStage, number]>([
  ["map", 1],
  ["query", 1],
  ["access", 0],
])("I10: an error at an access, of a fact known at %s: %i violations", (known, n) => {
  expect(said((on) => on.log.surfacedAtAccess("import", "nic", known))).toHaveLength(n);
});
