/** The kit under test: what is unusual and right passes. */
import { addr, type DmaBufAttachment, DmaFence, linux73, PAGE_SIZE, type Pfn, point, Usage, vma } from "@dma-buf/core";
import { expect, it } from "vitest";
import { broken, type Made, refuse } from "./breaking.js";
import { type Driver, driverOf, SIZE_BYTES } from "./driver.js";
import type { ExporterCapability, ExporterSubject } from "./subject.js";
import { exporterOf, still, verdict } from "./testing.js";

const isPeer = (at: DmaBufAttachment): boolean => at.device?.spaces.some((s) => s.kind === "pci-bus") ?? false;
const without = (...less: ExporterCapability[]): Partial<ExporterSubject> => ({
  capabilities: exporterOf(linux73).capabilities.filter((c) => !less.includes(c)),
});

const alloc = ({ fw }: Made): void => fw.env.alloc({ id: "x", op: "kzalloc", stage: "attach", source: "x" });

/** Copies by its engine: the new place holds nothing before the fence signals. */
function movedByEngine(d: Driver): void {
  const { env, scheduler } = d.fw;
  const fence = new DmaFence(env, { driverName: () => "driver", timelineName: () => "copy" }, env.allocContexts(1), 1);
  d.buf.resv.reserveFences(d.held, 1);
  d.buf.resv.addFence(d.held, fence, Usage.KERNEL);
  const { physical } = d;
  d.host.freed(physical, SIZE_BYTES);
  scheduler.spawn(
    "engine",
    (function* () {
      yield* point("engine.copy");
      d.host.allocated(physical, SIZE_BYTES);
      fence.signal();
      fence.put();
    })(),
  );
}

it.each<[string, ExporterSubject]>([
  [
    "tells importers twice, and waits twice",
    driverOf(linux73, { move: ["lock", "invalidate", "fences", "invalidate", "fences", "copy", "unlock"] }),
  ],
  ["moves by its engine, behind a KERNEL fence", driverOf(linux73, { copied: movedByEngine })],
  ["refuses mmap, undeclared", still(exporterOf(linux73, () => ({ mmap: () => refuse("ENODEV") }), without("mmap")))],
  ["fills a CPU mapping at once, so that nothing faults", still(exporterOf(linux73, () => ({ mmap() {} })))],
  [
    "refuses to pin, undeclared",
    still(exporterOf(linux73, () => ({ pin: () => refuse("EBUSY") }), without("pin", "static"))),
  ],
  [
    "refuses to attach while it is revoked",
    exporterOf(linux73, ({ revoked }) => ({ attach: () => void (revoked() && refuse("ENODEV")) })),
  ],
  [
    "refuses a device on no bus",
    still(exporterOf(linux73, () => ({ attach: (at) => void (isPeer(at) || refuse("EOPNOTSUPP")) }))),
  ],
  [
    "allocates in attach, whose row has no ENOMEM",
    still(broken(linux73, (made) => ({ ops: { attach: () => alloc(made) } }))),
  ],
  [
    "allocates in vmap, and the core warns of what is not mapped",
    still(
      broken(
        linux73,
        (made) => ({
          ops: {
            vmap() {
              alloc(made);
              return { address: 1, isIomem: false };
            },
            vunmap() {},
          },
        }),
        { capabilities: [...exporterOf(linux73).capabilities, "vmap"] },
      ),
    ),
  ],
  [
    "refuses a CPU mapping while it is revoked, where importers look through one",
    broken(vma, (made) => ({
      ops: {
        mmap(_buf, mapping) {
          if (made.reference.revoked) refuse("ENODEV");
          mapping.fault = (page) =>
            made.reference.revoked
              ? refuse("ENODEV")
              : { pfn: addr<Pfn>(made.reference.physical / PAGE_SIZE + mapping.pgoff + page), maxOrder: 0 };
        },
      },
    })),
  ],
])("one that %s", (_what, subject) => expect(verdict(subject)).toEqual({ failing: [], said: "" }));
