/** A device with a trusted interface: it stops before its memory goes, and an annotation may say whose it is. */
import { annotatedAddress, type Op, pfn, point, vma, type Vma, withRuns } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { vfioExporter as annotated } from "./annotated-address.js";
import { vfioExporter as byPfn } from "./pfn.js";
import { fakeHost, kit, PAGE, TestImporter } from "./testing.js";
import { vfioExporter as byVma } from "./vma.js";

const vm = { name: "VM1" };
const ALL = { regionIndex: 0, ranges: [{ offset: 0, length: PAGE }] };

/** What happened, in order, when a device that may be bound was revoked. */
function revoked(isBound: boolean, asPosted: boolean): readonly string[] {
  const order: string[] = [];
  const trustedIo = {
    *stop(): Op<void> {
      yield* point("tdi.stop");
      order.push("stop");
    },
  };
  const k = kit(byPfn, { contract: pfn, options: { asPosted }, host: { ...fakeHost(), trustedIo } });
  const buf = k.run(k.exporter.export(ALL));
  if (isBound) k.run(k.exporter.binding.bind(vm));
  order.length = 0;
  const importer = new TestImporter(k.fw);
  importer.onInvalidate = function* () {
    yield* point("told");
    order.push("told");
  };
  k.run(importer.attach(buf, null));
  k.run(k.exporter.revoke());
  return order;
}

it.each([
  ["bound to a VM: the interface stops first", true, false, ["stop", "told"]],
  ["nobody's: there is nothing to stop", false, false, ["told"]],
  ["bound, and the code is as posted: nobody stops it", true, true, ["told"]],
] as const)("%s", (_name, isBound, asPosted, expected) => {
  expect(revoked(isBound, asPosted)).toEqual(expected);
});

describe("what is said of the memory", () => {
  const memory = { cache: "wb", snoop: true } as const;

  /** What an importer without a device is told. */
  function told(tagsOwner: boolean, isBound: boolean): object | null {
    const k = kit(annotated, { contract: annotatedAddress, options: { memory, tagsOwner } });
    const buf = k.run(k.exporter.export(ALL));
    if (isBound) k.run(k.exporter.binding.bind(vm));
    const at = k.run(new TestImporter(k.fw).attach(buf, null));
    const window = k.run(k.fw.open(at, "bidirectional"));
    const [run] = k.run(
      withRuns(at, window, 0, PAGE, function* (runs) {
        return runs;
      }),
    );
    return run?.kind === "cpu-physical" ? run.attributes : null;
  }

  it.each([
    [false, true, memory],
    [true, false, memory],
    [true, true, { ...memory, owner: vm }],
  ])("annotated-address: a tag %s, bound %s", (tagsOwner, isBound, expected) => {
    expect(told(tagsOwner, isBound)).toEqual(expected);
  });

  it.each([
    ["as a BAR is", {}, "uc"],
    ["cacheable", { memory }, "wb"],
  ] as const)("vma: the mapping is protected %s", (_name, options, expected) => {
    const k = kit(byVma, { contract: vma, options });
    const buf = k.run(k.exporter.export(ALL));
    const mapped: Vma = k.run(k.fw.mmapFile(buf, { pgoff: 0, pages: 1, buf: null, fault: null }));
    expect(mapped.cache).toBe(expected);
    k.run(k.fw.munmap(mapped));
  });
});

describe("a BAR that is smaller than a page", () => {
  const small = {
    ...fakeHost(),
    region: () => ({ physical: fakeHost().region(0)?.physical as never, sizeBytes: 256 }),
  };

  it.each([
    ["all of it: a mapping has the rest of the page", 0, 256, "ok"],
    ["not to its end", 0, 128, "EINVAL@export"],
    ["beyond it", 0, 2 * PAGE, "EINVAL@export"],
  ])("vma, %s", (_name, offset, length, expected) => {
    const k = kit(byVma, { contract: vma, host: small });
    expect(k.answer(k.exporter.export({ regionIndex: 0, ranges: [{ offset, length }] }))).toBe(expected);
  });

  it("pfn: is not exported", () => {
    const k = kit(byPfn, { contract: pfn, host: small });
    expect(k.answer(k.exporter.export({ regionIndex: 0, ranges: [{ offset: 0, length: 256 }] }))).toBe("EINVAL@export");
  });
});
