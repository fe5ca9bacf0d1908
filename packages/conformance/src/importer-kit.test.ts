/** The kit under test, an importer's side: lies, failures, orders and refusals. Each broken importer fails what it breaks. */
import {
  addr,
  annotatedAddress,
  contracts,
  type Contract,
  dmaAddress,
  type DmaBuf,
  type DmaBufAttachment,
  DmaBufError,
  type DmaBufAttachOps,
  type Finding,
  type Framework,
  type Held,
  linux73,
  type Op,
  pfn,
  pfnLocked,
  point,
  type PhysAddr,
  type Run,
  until,
  vma,
  type Window,
} from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { check } from "./check.js";
import type { RecordingHost } from "./recording-host.js";
import type { ImporterSubject, ImporterUnderTest } from "./subject.js";
import { importerOf, Plain } from "./testing.js";

const OPTIONS = { stepsMax: 2000 };
const verdict = (subject: ImporterSubject): { failing: string[]; said: string } => {
  const bad = check(subject, OPTIONS).filter((c) => c.breaches.length > 0);
  return { failing: bad.map((c) => c.requirement), said: bad.flatMap((c) => c.breaches).join("\n") };
};
const under = (contract: Contract, ...names: string[]): string[] => names.map((name) => `${contract.id}/${name}`);

/** The reference importer under test, with calls replaced. */
function changed(
  contract: Contract,
  change: (under: ImporterUnderTest, host: RecordingHost, fw: Framework) => Partial<ImporterUnderTest>,
  more: Partial<ImporterSubject> = {},
): ImporterSubject {
  const subject = importerOf(contract);
  return {
    ...subject,
    create(fw, host) {
      const honest = subject.create(fw, host);
      return { ...honest, ...change(honest, host, fw) };
    },
    ...more,
  };
}

/** The same, pinned while it is attached. `undoes`: does it detach behind that refusal of its pin? */
function pins(contract: Contract, undoes: (error: unknown) => boolean): ImporterSubject {
  return changed(contract, ({ attach, detach }, _host, fw) => {
    let buf: DmaBuf;
    function* locked(act: (at: DmaBufAttachment, held: Held) => Op<void>): Op<void> {
      using held = yield* buf.resv.lock();
      yield* act(buf.attachments[0] as DmaBufAttachment, held);
    }
    return {
      *attach(to) {
        buf = to;
        yield* attach(to);
        try {
          yield* locked((at, held) => fw.pinAttachment(at, held));
        } catch (error) {
          if (undoes(error)) yield* detach();
          throw error;
        }
      },
      *detach() {
        yield* locked((at, held) => fw.unpinAttachment(at, held));
        yield* detach();
      },
    };
  });
}

class Believing extends Plain {
  protected override believe(): void {}
}

const TABLE_LIES = ["overlapping-runs", "hole", "short", "no-runs", "beyond-the-end", "before-the-beginning"];

describe("an importer that believes everything", () => {
  it.each([dmaAddress, linux73])("installs what a table cannot mean: $id", (contract) => {
    const { failing, said } = verdict(importerOf(contract, Believing));
    expect(failing).toEqual(expect.arrayContaining(under(contract, "overlapping-runs", "negative-address")));
    expect(said).toMatch(/reference said so, and it cannot be true: check what you are told/);
  });

  it.each([pfn, pfnLocked, vma])("installs what a frame cannot mean: $id", (contract) => {
    const { failing, said } = verdict(importerOf(contract, Believing));
    expect(failing).toEqual(expect.arrayContaining(under(contract, "beyond-the-end", "before-the-beginning")));
    expect(said).toMatch(/an access to byte 0x0 reaches 0x90/);
  });

  it.each([dmaAddress, linux73])("and does not say what it reaches: every lie shows, $id", (contract) => {
    const { reaches: _reaches, ...rest } = importerOf(contract, Believing).create(null as never, null as never);
    const blind: ImporterSubject = {
      ...importerOf(contract, Believing),
      create(fw, host) {
        const { reaches: _not, ...mute } = importerOf(contract, Believing).create(fw, host);
        return mute;
      },
    };
    expect(Object.keys(rest)).not.toContain("reaches");
    expect(verdict(blind).failing).toEqual(expect.arrayContaining(under(contract, ...TABLE_LIES)));
  });
});

describe("an importer that", () => {
  const rows: [string, ImporterSubject, string[], RegExp][] = [
    [
      "asks again at each use, and takes what has changed without a word",
      importerOf(
        pfn,
        class extends Plain {
          override *use(): Op<void> {
            this.kept = [];
            yield* super.use();
          }
        },
      ),
      under(pfn, "changing-runs"),
      /reaches 0x900000: reference said so/,
    ],
    [
      "installs the exporter's own list, and not what it has checked",
      importerOf(
        annotatedAddress,
        class extends Plain {
          protected override copied(runs: readonly Run[]): readonly Run[] {
            return runs;
          }
        },
      ),
      under(annotatedAddress, "rewritten-runs"),
      /reference said so, and it cannot be true/,
    ],
    [
      "is told, and never gives its mapping back",
      importerOf(
        linux73,
        class extends Plain {
          protected override *dropped(): Op<void> {
            this.kept = [];
          }
        },
      ),
      ["linux-7.3/invalidate_mappings"],
      /the exporter waits for .*: let go when you are told/,
    ],
    [
      "keeps its pieces where it refuses",
      importerOf(
        linux73,
        class extends Plain {
          protected override believe(runs: readonly Run[]): void {
            this.kept = runs;
            super.believe(runs);
          }
        },
      ),
      under(linux73, "overlapping-runs"),
      /2 run\(s\) of what was refused are installed: undo what was begun/,
    ],
    [
      "holds the reservation where it is ended",
      importerOf(
        linux73,
        class extends Plain {
          override *use(): Op<void> {
            const held = yield* this.attachment.buf.resv.lock();
            try {
              const { sizeBytes } = this.attachment.buf;
              if (this.kept.length === 0) this.kept = yield* (this.window as Window).runs(0, sizeBytes, held);
            } catch (error) {
              if (error instanceof DmaBufError) held[Symbol.dispose]();
              throw error;
            }
            held[Symbol.dispose]();
          }
        },
      ),
      under(linux73, "no-answer"),
      /it is ended, and the reservation stays locked/,
    ],
    [
      "installs before it looks at its sequence, and takes it back",
      importerOf(
        pfn,
        class extends Plain {
          protected override *install(runs: readonly Run[], isFresh: () => boolean): Op<void> {
            yield* point("broken.install");
            this.kept = runs;
            yield* point("broken.look");
            if (!isFresh()) this.kept = [];
          }
        },
      ),
      ["use-and-access-against-revoke", "use-and-access-against-move"].map((n) => `pfn/move_notify/${n}`),
      /STALE: look again before installing/,
    ],
    [
      "does not wait for what is copied later",
      importerOf(
        linux73,
        class extends Plain {
          protected override *settled(): Op<void> {}
        },
      ),
      ["linux-7.3/invalidate_mappings/use-and-access-against-move-copied-later"],
      /an access reaches what is not copied yet: wait for KERNEL fences; see the order/,
    ],
    [
      "keeps its reference where the exporter's attach throws what is no refusal",
      changed(linux73, (_under, host, fw) => {
        const importer = new Plain(fw);
        return {
          *attach(buf) {
            fw.get(buf);
            try {
              yield* importer.attach(buf, host.device);
            } catch (error) {
              if (error instanceof DmaBufError) yield* fw.put(buf);
              throw error;
            }
          },
          use: () => importer.use(),
          holds: () => importer.runs.length,
          reaches: (offset) => (importer.runs.length > 0 ? (importer.runs[0] as Run).address + offset : null),
          *detach() {
            yield* importer.detach();
            yield* fw.put(importer.attachment.buf);
          },
        };
      }),
      under(linux73, "throws-in-attach"),
      /1 reference\(s\) left: put what was got/,
    ],
    [
      "stays attached where the exporter's pin throws what is no refusal",
      pins(linux73, (error) => error instanceof DmaBufError),
      under(linux73, "throws-in-pin"),
      /1 attachment\(s\) left/,
    ],
    [
      "refuses to detach because the exporter's unmap or detach throws",
      changed(linux73, ({ detach }, _host, fw) => ({
        *detach() {
          yield* detach();
          if (fw.findings.length > 0) throw new TypeError("not detached");
        },
      })),
      under(linux73, "throws-in-unmap", "throws-in-detach"),
      /detach\(\) behind a lie is failed: TypeError: not detached/,
    ],
    [
      "hides who threw",
      changed(linux73, ({ detach }, _host, fw) => ({
        *detach() {
          yield* detach();
          (fw.findings as Finding[]).length = 0;
        },
      })),
      under(linux73, "throws-in-unmap", "throws-in-detach"),
      /nothing is booked against reference/,
    ],
    [
      "trips over a callback before it has looked",
      importerOf(
        vma,
        class extends Plain {
          protected override *told(held: Held): Op<void> {
            if (!this.window) throw new TypeError("no window");
            yield* super.told(held);
          }
        },
      ),
      [`${vma.rows.invalidateMappings?.id}/attach-and-use-against-revoke`],
      /threw: TypeError: no window/,
    ],
    [
      "trips over a callback behind its detach",
      importerOf(
        linux73,
        class extends Plain {
          #gone = false;
          protected override *told(held: Held): Op<void> {
            if (this.#gone) throw new TypeError("gone");
            yield* super.told(held);
          }
          protected override *closed(window: Window): Op<void> {
            this.#gone = true;
            yield* super.closed(window);
          }
        },
      ),
      ["linux-7.3/invalidate_mappings/detach-against-revoke"],
      /threw: TypeError: gone/,
    ],
    [
      "leaves its table where the second one fails",
      changed(linux73, ({ use, detach }, { tables }) => {
        let out: PhysAddr[] = [];
        return {
          *use() {
            while (out.length < 2) out.push(tables.allocTable());
            yield* use();
          },
          *detach() {
            for (const table of out) tables.freeTable(table);
            out = [];
            yield* detach();
          },
        };
      }),
      under(linux73, "no-table", "exporter-refuses"),
      /page table 2 \(allocTable\) fails: .* a refusal leaves 1 page tables where 0 were/,
    ],
    [
      "cannot be asked again once it was refused",
      changed(linux73, ({ use }) => {
        let dead = false;
        return {
          *use() {
            if (dead) throw new DmaBufError("EIO", { op: "x", stage: "map", message: "dead" });
            dead = true;
            yield* use();
            dead = false;
          },
        };
      }),
      ["linux-7.3/dma_buf_map_attachment"],
      /EIO/,
    ],
    [
      "cannot be told, and does not pin",
      changed(linux73, () => ({}), { capabilities: ["peer2peer"] }),
      ["linux-7.3/dma_buf_dynamic_attach"],
      /brings the invalidate callback/,
    ],
    [
      "cannot be told, pins nothing",
      {
        ...importerOf(
          linux73,
          class extends Plain {
            protected override ops(): DmaBufAttachOps {
              return { allowPeer2peer: true };
            }
          },
        ),
        capabilities: ["peer2peer"],
      },
      ["linux-7.3/invalidate_mappings", "linux-7.3/dma_buf_pin"],
      /cannot be told, and does not pin/,
    ],
    [
      "uses another place than it was told",
      changed(linux73, ({ reaches }) => ({
        reaches: (offset) => (reaches?.(offset) === null ? null : 0x5000 + offset),
      })),
      ["linux-7.3/dma_buf_map_attachment"],
      /an access to byte 0x0 reaches 0x5000: that is not where the exporter has it/,
    ],
    [
      "installs nothing for the first byte",
      changed(linux73, () => ({ reaches: () => null })),
      ["linux-7.3/dma_buf_map_attachment"],
      /an access to the first byte would fault/,
    ],
  ];
  it.each(rows)("%s", (_name, subject, failing, said) => {
    const found = verdict(subject);
    expect(found.said).toMatch(said);
    expect(found.failing).toEqual(expect.arrayContaining(failing));
  });
});

it("a CPU mapping that changes before its notifier is called is no lie: whoever asks again may install it", () => {
  const again = class extends Plain {
    override *use(): Op<void> {
      this.kept = [];
      yield* super.use();
    }
  };
  const cases = check(importerOf(vma, again), OPTIONS);
  expect(cases.filter(({ breaches }) => breaches.length > 0)).toEqual([]);
  expect(cases.map(({ requirement }) => requirement)).not.toContain("vma/changing-runs");
});

it("who never comes back from a failure has thrown nothing, and left nothing behind a refusal", () => {
  const subject = changed(linux73, ({ use }) => ({
    *use() {
      try {
        yield* use();
      } catch (error) {
        if ((error as DmaBufError).code === "ENOMEM") yield* until("an answer", () => false);
        throw error;
      }
    },
  }));
  const { failing, said } = verdict(subject);
  expect(failing).toEqual(under(linux73, "no-mapping", "exporter-refuses"));
  expect(said).toMatch(/kit waits at an answer/);
  expect(said).not.toMatch(/EndSignal|behind a refusal|a refusal leaves/);
});

describe("one that its contract cannot serve", () => {
  const no = (stage: "attach" | "map") => {
    throw new DmaBufError("EOPNOTSUPP", { op: "x", stage, message: "this contract does not say what is needed" });
  };
  const refuses = { code: "EOPNOTSUPP", stage: "map" } as const;
  const refusing = (more: Partial<ImporterSubject> = {}): ImporterSubject =>
    changed(
      linux73,
      () => ({
        *use() {
          no("map");
        },
      }),
      { refuses, ...more },
    );

  it("refuses as it says: that is all that is tried", () => {
    const cases = check(refusing());
    expect(cases.map((c) => [c.title, c.breaches])).toEqual([
      ["linux-7.3/deadlock: every call comes back", []],
      ["linux-7.3/refuses: EOPNOTSUPP at map, and nothing is left", []],
    ]);
  });

  it("never answers: that is a deadlock, and no answer of another kind", () => {
    const use = (): Op<void> => until("an answer", () => false);
    const cases = check(changed(linux73, () => ({ use }), { refuses }));
    expect(cases.flatMap((c) => c.breaches)).toEqual([
      "linux-7.3/deadlock: kit waits at an answer for a condition nobody fulfils",
    ]);
  });

  it("where the contract itself refuses, that passes", () => {
    const subject = changed(
      dmaAddress,
      () => ({
        // Without a device.
        *attach(buf) {
          const { fw } = world;
          yield* fw.dynamicAttach(buf, null, { name: "x", ops: { allowPeer2peer: true, invalidateMappings() {} } });
        },
      }),
      { refuses: { code: "EINVAL", stage: "attach" } },
    );
    const world = {} as { fw: Parameters<ImporterSubject["create"]>[0] };
    const made: ImporterSubject = { ...subject, create: (fw, host) => ((world.fw = fw), subject.create(fw, host)) };
    expect(verdict(made)).toEqual({ failing: [], said: "" });
  });

  it.each<[string, ImporterSubject, RegExp]>([
    [
      "serves all the same",
      { ...importerOf(linux73), refuses },
      /answers ok to attach and use, and declares EOPNOTSUPP@map/,
    ],
    ["with another errno", refusing({ refuses: { code: "ENODEV", stage: "map" } }), /answers EOPNOTSUPP@map/],
    ["at another stage", refusing({ refuses: { code: "EOPNOTSUPP", stage: "attach" } }), /answers EOPNOTSUPP@map/],
    [
      "by what is no refusal",
      changed(linux73, () => ({ use: () => trips() }), { refuses }),
      /answers TypeError: no table/,
    ],
    [
      "and keeps a page table",
      changed(
        linux73,
        (_under, { tables }) => ({
          *use() {
            tables.allocTable();
            no("map");
          },
        }),
        { refuses },
      ),
      /a refusal leaves 1 page tables where 0 were/,
    ],
    [
      "and has something installed",
      changed(linux73, () => ({ use: () => refused(), holds: () => 1 }), { refuses }),
      /1 run\(s\) are installed behind a refusal/,
    ],
  ])("%s", (_name, subject, said) => {
    const found = verdict(subject);
    expect(found.failing).toEqual(["linux-7.3/refuses"]);
    expect(found.said).toMatch(said);
  });

  function* refused(): Op<void> {
    no("map");
  }
  function* trips(): Op<void> {
    throw new TypeError("no table");
  }
});

it("whose jobs wait by themselves is not tried with what is copied later", () => {
  const titles = check({ ...importerOf(linux73), jobsWait: true }, OPTIONS).map((c) => c.title);
  expect(titles.filter((title) => title.includes("copied-later"))).toEqual([]);
});

it("a callback that throws what is no refusal: who pins and undoes everything passes, and is told each", () => {
  const cases = check(
    pins(linux73, () => true),
    OPTIONS,
  );
  const thrown = cases.filter(({ requirement }) => requirement.includes("/throws-in-"));
  expect(thrown.map(({ requirement }) => requirement)).toEqual(
    under(linux73, "throws-in-attach", "throws-in-pin", "throws-in-unmap", "throws-in-detach"),
  );
  expect(thrown.flatMap(({ breaches }) => breaches)).toEqual([]);
  for (const { title } of thrown) expect(title).toMatch(/; nothing of it may be installed$/);
});

it.each(contracts)("what was tried with the reference importer under $id says how much", (contract) => {
  const titles = check(importerOf(contract), OPTIONS).map((c) => c.title);
  const orders = titles.filter((title) => /against-(revoke|move|move-copied-later): /.test(title));
  expect(orders).toHaveLength(contract === vma ? 4 : 5);
  for (const title of orders) expect(title).toMatch(/: \d+ orders(, all tried| in turn and \d+ at random, not all)$/);
  const refusals = titles.find((title) => title.includes("/exporter-refuses: "));
  expect(refusals).toMatch(/[1-9]\d* exporter's answer\(s\), each failing once/);
  expect(titles.filter((title) => title.includes("an exporter lies: ")).length).toBeGreaterThan(9);
});

it("a device's address goes through its domain, what is none is a place", () => {
  const { host } = recorded();
  const iova = host.device.dma.mapPhys(addr<PhysAddr>(0x7000), 4096, "bidirectional", { mmio: true });
  expect([host.placeOf(iova + 8), host.placeOf(0x7008)]).toEqual([0x7008, 0x7008]);
  host.device.dma.unmapPhys(iova, 4096);
  expect(host.placeOf(iova)).toBeNull();
});

function recorded(): { host: RecordingHost } {
  let host: RecordingHost | null = null;
  check(
    changed(linux73, (_under, h) => {
      host = h;
      return {};
    }),
    { stepsMax: 1 },
  );
  return { host: host as unknown as RecordingHost };
}
