/** Every order of what userspace does to an IOAS × its DESTROY: whoever comes first, nothing is left in one that is gone. */
import { DmaBufError, explore, type Op, type Scheduler } from "@dma-buf/core";
import { expect, it } from "vitest";
import type { IommufdDevice } from "./device.js";
import type { Ioas } from "./ioas.js";
import { iommufdIoctl } from "./ioctl.js";
import { Fixture } from "./testing/fixture.js";
import { BUFFER, MOCK_APERTURE_START, PAGE } from "./testing/mock-host.js";
import { encodeIommu, IOMMU_IOCTL, type IommuArgument, type IommuIoctl } from "./uapi.js";

const AT = MOCK_APERTURE_START;
const FLAGS = { flags: 7, length: PAGE };

class World extends Fixture {
  /** What is destroyed, with one area, and a device that is attached nowhere. */
  readonly target: Ioas;
  readonly device: IommufdDevice;

  constructor(scheduler: Scheduler) {
    super(0, scheduler);
    this.target = this.iommufd.objects.get<Ioas>(this.ioasId, "ioas", "test");
    this.device = this.iommufd.bind({ name: "mock" } as IommufdDevice["device"]);
    this.host.files.set(9, { kind: "other" });
    this.mapFixed(AT, PAGE);
  }

  *op<N extends IommuIoctl>(name: N, values: Partial<IommuArgument<N>>): Op<void> {
    yield* iommufdIoctl({ iommufd: this.iommufd, user: this.user }, IOMMU_IOCTL[name], encodeIommu(name, values));
  }
}

const ACTS: Readonly<Record<string, (w: World) => Op<unknown>>> = {
  MAP: (w) => w.op("IOAS_MAP", { ...FLAGS, ioasId: w.ioasId, userVa: BUFFER, iova: AT + PAGE }),
  MAP_FILE: (w) => w.op("IOAS_MAP_FILE", { ...FLAGS, ioasId: w.ioasId, fd: 9, iova: AT + PAGE }),
  COPY: (w) =>
    w.op("IOAS_COPY", { ...FLAGS, srcIoasId: w.ioasId, dstIoasId: w.ioasId, srcIova: AT, dstIova: AT + PAGE }),
  UNMAP: (w) => w.op("IOAS_UNMAP", { ioasId: w.ioasId, iova: AT, length: PAGE }),
  HWPT_ALLOC: (w) => w.op("HWPT_ALLOC", { devId: w.iommufd.objects.idOf(w.device), ptId: w.ioasId }),
  OPTION: (w) => w.op("OPTION", { optionId: 1, objectId: w.ioasId, val64: 0n }),
  *ATTACH(w): Op<unknown> {
    return yield* w.device.attach(w.iommufd.objects.get<Ioas>(w.ioasId, "ioas", "attach"));
  },
};

/** What came of it: of both, and what is wrong with what is left. */
function play(scheduler: Scheduler, act: (w: World) => Op<unknown>) {
  const w = new World(scheduler);
  const said: Record<string, string> = {};
  const task = function* (name: string, op: Op<unknown>): Op<void> {
    try {
      yield* op;
      said[name] = "ok";
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      said[name] = error.code;
    }
  };
  scheduler.spawn("user", task("act", act(w)));
  scheduler.spawn("destroyer", task("destroy", w.op("DESTROY", { id: w.ioasId })));
  scheduler.run();
  const wrong: string[] = [];
  if (said["destroy"] === "ok" && w.target.space.areaCount > 0) wrong.push("an area in an IOAS that is gone");
  if (said["destroy"] === "ok" && w.target.hwpts.size > 0) wrong.push("a page table of an IOAS that is gone");
  w.close();
  if (w.host.pinned > 0) wrong.push(`${w.host.pinned} pages are pinned`);
  if (w.host.domains.some((domain) => !domain.isDestroyed)) wrong.push("a domain is left");
  return { wrong, said: `${said["act"]}, ${said["destroy"]}` };
}

for (const [name, act] of Object.entries(ACTS)) {
  const seen = new Set<string>();
  const { kind, explored, worst } = explore(
    (scheduler) => {
      const result = play(scheduler, act);
      seen.add(result.said);
      return result;
    },
    { badness: ({ wrong }) => wrong.length },
  );
  it(`${name} × DESTROY: ${explored} orders, ${kind}`, () => {
    expect([kind, worst.result.wrong]).toEqual(["exhausted", []]);
    // Both ways round, and one in the middle of the other.
    expect([...seen].some((said) => said.endsWith(", EBUSY"))).toBe(true);
    expect([...seen].some((said) => /^E\w+, ok$/.test(said))).toBe(true);
  });
}
