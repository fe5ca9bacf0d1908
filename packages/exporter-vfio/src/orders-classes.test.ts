/** Every order of one importer of each class and of what takes the memory away: nothing is reached that is gone. */
import { classesOf } from "@dma-buf/conformance";
import { annotatedAddress, dmaAddress, explore, linux73, pfn, pfnLocked, vma } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { vfioExporter as annotatedAddressExporter } from "./annotated-address.js";
import { vfioExporter as dmaAddressExporter } from "./dma-address.js";
import { vfioExporter as linux73Exporter } from "./linux-7.3.js";
import { vfioExporter as pfnLockedExporter } from "./pfn-locked.js";
import { vfioExporter as pfnExporter } from "./pfn.js";
import { ACTS, LIVES, play, refusalOf, type Variant } from "./testing/orders-world.js";
import { vfioExporter as vmaExporter } from "./vma.js";

const VARIANTS: readonly Variant[] = [
  { contract: dmaAddress, factory: dmaAddressExporter },
  { contract: vma, factory: vmaExporter },
  { contract: pfn, factory: pfnExporter },
  { contract: pfnLocked, factory: pfnLockedExporter },
  { contract: annotatedAddress, factory: annotatedAddressExporter },
  { contract: linux73, factory: linux73Exporter },
];

/** Who is not served, and why; the rest of the contract's classes is searched. */
const REFUSED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "dma-address": { "pinned-revocable": "EINVAL@pin", static: "EINVAL@attach" },
  vma: {},
  pfn: { "pinned-revocable": "EINVAL@pin", static: "EINVAL@attach" },
  "pfn-locked": { "pinned-revocable": "EINVAL@pin", static: "EOPNOTSUPP@attach" },
  "annotated-address": {
    pinned: "EOPNOTSUPP@attach",
    "pinned-revocable": "EINVAL@pin",
    static: "EOPNOTSUPP@attach",
  },
  "linux-7.3": { pinned: "EOPNOTSUPP@attach", static: "EOPNOTSUPP@attach" },
};

for (const variant of VARIANTS) {
  const { id } = variant.contract;
  describe(`one importer under ${id}`, () => {
    const refused = REFUSED[id] ?? {};
    const answers = Object.fromEntries(classesOf(variant.contract).map((name) => [name, refusalOf(variant, name)]));

    it("serves every class but those that cannot be told, or pin", () => {
      const served = Object.keys(answers).filter((name) => !(name in refused));
      expect(answers).toEqual({ ...refused, ...Object.fromEntries(served.map((name) => [name, null])) });
    });

    for (const name of classesOf(variant.contract).filter((one) => answers[one] === null))
      it.each(ACTS.flatMap((act) => LIVES.map((life) => [act, life] as const)))(
        `every order of %s and ${name}, %s: none is late, nothing is left`,
        (act, life) => {
          const search = { badness: (wrong: string[]) => wrong.length, ordersMax: 20_000 };
          const found = explore((scheduler) => play(scheduler, variant, name, act, life), search);
          expect([found.worst.result, found.kind]).toEqual([[], "exhausted"]);
        },
      );
  });
}
