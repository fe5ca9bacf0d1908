import { dmaAddress, pfn, vma } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { blame, type Case, type Counterfactuals } from "./blame.js";
import type { Played } from "./readings.js";
import type { Blame } from "./result.js";
import { parseVerdict } from "./scenario/verdict-text.js";

const verdict = (text: string) => parseVerdict(text) as Played["verdict"];

function played(text: string, more: Partial<Played> = {}): Played {
  const rule = { kind: "bytes", id: "I1", text: "" } as const;
  return {
    verdict: verdict(text),
    rule,
    violations: [],
    error: null,
    forwardsAsked: false,
    schedules: null,
    worst: null,
    ...more,
  };
}

/** Where an experiment is not named, it must not be run. */
function answers(what: { exporter?: string; calm?: string; other?: boolean }): Counterfactuals {
  const given = <T>(value: T | undefined): T => {
    if (value === undefined) throw new Error("an experiment that is not needed was run");
    return value;
  };
  return {
    withGoodExporter: () => verdict(given(what.exporter)),
    onCalmPlatform: () => verdict(given(what.calm)),
    otherContractServes: () => given(what.other),
  };
}

const fault = { party: "importer", what: "lies" } as const;
const cell = (conforming: Played, more: Partial<Case> = {}): Case => ({
  contract: dmaAddress,
  fault: null,
  posted: null,
  conforming,
  ...more,
});
const broken = (party: "exporter" | "framework") =>
  ({ violations: [{ party }] }) as unknown as Pick<Played, "violations">;
const refusal = (op: string, stage: string) => ({ error: { op, stage: stage as "attach" } });

describe("of a conforming pair", () => {
  it.each<[string, Case, Parameters<typeof answers>[0], Blame]>([
    ["served", cell(played("OK")), {}, "none"],
    ["not applicable", cell(played("NA")), {}, "none"],
    ["silent", cell(played("UNSPEC")), {}, "contract"],
    ["another contract serves", cell(played("REFUSED(EOPNOTSUPP@attach)")), { other: true }, "contract"],
    ["policy against hardware", cell(played("REFUSED(EOPNOTSUPP@attach)")), { other: false, calm: "OK" }, "platform"],
    [
      "no way at all",
      cell(played("REFUSED(EOPNOTSUPP@attach)")),
      { other: false, calm: "REFUSED(EOPNOTSUPP@attach)" },
      "none",
    ],
    ["no device", cell(played("REFUSED(EINVAL@attach)", refusal("dma_buf_dynamic_attach", "attach"))), {}, "contract"],
    [
      "no pages",
      cell(played("REFUSED(EFAULT@map)", refusal("pin_user_pages", "map")), { contract: vma }),
      {},
      "contract",
    ],
    ["a fault that is refused", cell(played("REFUSED(EINVAL@map)"), { fault }), {}, "none"],
    ["a fault that is not", cell(played("STALE"), { fault }), {}, "importer"],
    [
      "a fault that this contract allows",
      cell(played("STALE"), { fault: { ...fault, breaks: ["mmap"] }, contract: pfn }),
      {},
      "contract",
    ],
    [
      "the same, where it does not",
      cell(played("STALE"), { fault: { ...fault, breaks: ["mmap"] }, contract: vma }),
      {},
      "importer",
    ],
    ["the exporter broke a rule on the way", cell(played("CORRUPT", broken("exporter"))), {}, "exporter"],
    [
      "the other side broke one than the fault is of",
      cell(played("STALE", broken("exporter")), { fault }),
      {},
      "exporter",
    ],
    ["the core's own findings are nobody's", cell(played("OK", broken("framework"))), {}, "none"],
    ["the machine acted", cell(played("FAULT")), { other: false, calm: "OK" }, "platform"],
    ["nobody asked for the route", cell(played("CORRUPT")), { other: false, calm: "CORRUPT" }, "contract"],
    ["no better path", cell(played("DEGRADED")), { other: false, calm: "DEGRADED" }, "platform"],
    ["a better path elsewhere", cell(played("DEGRADED")), { other: true }, "contract"],
  ])("%s", (_what, one, experiments, expected) => expect(blame(one, answers(experiments))).toBe(expected));
});

describe("of what was posted", () => {
  it.each<[string, string, string, Parameters<typeof answers>[0], Blame]>([
    ["the exporter mends it", "CORRUPT", "OK", { exporter: "OK" }, "exporter"],
    ["the exporter does not", "STALE", "OK", { exporter: "STALE" }, "importer"],
    [
      "it refuses too late",
      "REFUSED(EPERM@map)",
      "REFUSED(EOPNOTSUPP@attach)",
      { other: false, calm: "REFUSED(EOPNOTSUPP@attach)", exporter: "REFUSED(EOPNOTSUPP@attach)" },
      "exporter",
    ],
    [
      "it refuses late, and the platform is to blame",
      "REFUSED(EPERM@map)",
      "REFUSED(EOPNOTSUPP@attach)",
      { other: false, calm: "OK" },
      "platform",
    ],
    [
      "it takes what should be refused",
      "OK",
      "REFUSED(EBUSY@export)",
      { other: false, calm: "REFUSED(EBUSY@export)", exporter: "REFUSED(EBUSY@export)" },
      "exporter",
    ],
    [
      "it refuses, where the other meets what the machine does",
      "REFUSED(EFAULT@map)",
      "FAULT",
      { other: false, calm: "OK", exporter: "REFUSED(EFAULT@map)" },
      "importer",
    ],
    ["only who disobeys can", "HANG", "NA", {}, "contract"],
    ["what cannot be built went well", "OK", "NA", {}, "none"],
  ])("%s", (_what, posted, conforming, experiments, expected) => {
    expect(blame(cell(played(conforming), { posted: played(posted) }), answers(experiments))).toBe(expected);
  });
});
