/** Each guard taken out, and what the bytes of the machine say: which contracts need it, and which do not. */
import { annotatedAddress, defineContract } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import type { KvmOptions } from "./index.js";
import { againstMove, againstPunch, againstRevoke } from "./testing/race.js";
import { SERVING } from "./testing/rig.js";
import { NOTHING, searched } from "./testing/search.js";

const FREE = ["vma", "pfn"] as const;
const HELD = ["pfn-locked", "annotated-address"] as const;
const TAKEN_OUT: readonly (readonly [string, KvmOptions])[] = [
  ["the retry", { retry: false }],
  ["the look under mmu_lock", { unsafeCheckOnly: true }],
];

describe.each(TAKEN_OUT)("without %s", (_name, kvm) => {
  it.each(FREE)("%s: a late fault installs the page that moved away", (id) => {
    const { worst } = searched((scheduler) => againstMove(scheduler, id, ["faults"], { kvm }));
    expect(worst.corrupt).toEqual(["vCPU 0's store is lost", "a guest wrote 1 into memory of somebody else"]);
  });

  it.each(HELD)("%s: nothing happens, as the reservation is held until the leaf is there", (id) => {
    const { kind, worst } = searched((scheduler) => againstMove(scheduler, id, ["faults"], { kvm }));
    expect([kind, worst]).toEqual(["exhausted", NOTHING]);
  });
});

it("pfn, without the retry: what vfio revoked is written to", () => {
  const { worst } = searched((scheduler) => againstRevoke(scheduler, "pfn", ["faults"], { kvm: { retry: false } }));
  expect(worst.corrupt).toEqual(["a guest wrote 1 into memory of somebody else"]);
});

it.each(SERVING)("%s, without the flush: a vCPU goes on with what it cached", (id) => {
  const { worst } = searched((scheduler) => againstMove(scheduler, id, ["cached"], { kvm: { flush: false } }));
  expect(worst.corrupt).toEqual(["vCPU 0's store is lost", "a guest wrote 1 into memory of somebody else"]);
});

it("annotated-address, with a mapping that is not given back: the next fault installs the old address", () => {
  const keeps = defineContract(annotatedAddress, {
    id: "keeps",
    title: "An importer that ignores what it is told.",
    *open(fw, at, direction) {
      return { ...(yield* annotatedAddress.open(fw, at, direction)), *drop() {} };
    },
  });
  const { worst } = searched((scheduler) =>
    againstMove(scheduler, "annotated-address", ["cached"], { contract: keeps }),
  );
  expect(worst.corrupt).toContain("a guest wrote 1 into memory of somebody else");
});

describe("a hole is punched into a guest_memfd, and another file has the page at once", () => {
  it("with all guards: 88 orders", () => {
    const { count, worst } = searched((scheduler) => againstPunch(scheduler));
    expect([count, worst]).toEqual(["88 orders, exhausted", NOTHING]);
  });

  it.each<[string, KvmOptions]>([
    ["the look at what is in progress", { retryInProgress: false }],
    ["the look under mmu_lock", { unsafeCheckOnly: true }],
    ["the flush", { flush: false }],
  ])("without %s, the guest writes into it", (_name, kvm) => {
    const { worst } = searched((scheduler) => againstPunch(scheduler, kvm));
    expect(worst.corrupt).toEqual(["a guest wrote 1 into memory of somebody else"]);
  });
});
