/** Every errno of the tables, by a test that names it; of what is refused nothing is left, in any ledger. */
import { refusal } from "@dma-buf/config/refusal";
import { addr, annotatedAddress, type Contract, type DmaBuf, type DmaBufOps, linux73, type Run } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import type { RegMr } from "./request.js";
import { BAR, KINDS, PAGE, Rig, type RigOptions, SERVING } from "./testing/rig.js";
import type { RdmaPlugin } from "./index.js";
import { dmaBufPlugin, rdmaImporter } from "./linux-7.3.js";

const SIZE = 4 * PAGE;

/** An exporter that says what it is told to say. */
function says(r: Rig, runs: readonly Run[], more: Partial<DmaBufOps> = {}): DmaBuf {
  const ops: DmaBufOps = { mapDmaBuf: () => ({ runs }), unmapDmaBuf() {}, release() {}, ...more };
  return r.fw.export({ exporterName: "told", ops, sizeBytes: SIZE, priv: {} });
}

const at = (address: number, offset = 0, sizeBytes = SIZE): Run => ({
  kind: "dma",
  offset,
  sizeBytes,
  address: addr(address),
});

describe("EINVAL at map: a request that cannot be", () => {
  const wrong: [string, Partial<Record<keyof RegMr, unknown>>, RegExp][] = [
    ["a kind that is none", { kind: "odp" }, /no kind of memory region is called odp/],
    ["an offset that is no number", { offset: Number.NaN }, /offset NaN/],
    ["a negative size", { sizeBytes: -1 }, /sizeBytes -1/],
    ["an iova at another place of the page", { iova: 0x1008 }, /different places of a page/],
    ["an access flag that is none", { access: ["zero-based"] }, /no access flag is called zero-based/],
    ["remote writes without local ones", { access: ["remote-write"] }, /without local-write/],
    ["remote atomics without local writes", { access: ["remote-atomic"] }, /without local-write/],
    ["offset and size wrap", { offset: 2 ** 53 - PAGE, sizeBytes: PAGE }, /wrap/],
    ["iova and size wrap", { iova: 2 ** 53 - PAGE }, /wrap/],
    ["beyond the end", { offset: PAGE }, /the buffer ends at 16384, the region at 20480/],
    ["no byte", { sizeBytes: 0 }, /no page/],
    ["a function that is none", { dmaDevice: 1 }, /the device has 1 function\(s\), and none is 1/],
    ["a right that is no list", { access: "remote-read" }, /access remote-read: give a list/],
    ["no buffer", { buf: null }, /buf is null/],
    ["half a function", { dmaDevice: 0.5 }, /none is 0.5/],
  ];
  it.each(wrong)("%s", (_name, request, message) => {
    const r = new Rig("linux-7.3");
    const buf = says(r, [at(0x10000)]);
    const op = () => r.regOp(buf, request as Partial<RegMr>);
    expect(r.answer(op())).toBe("EINVAL@map");
    expect(() => r.run(op())).toThrow(message);
    // What is refused so is refused before the exporter hears of it.
    expect(buf.refs).toBe(1);
  });

  it("what it could be is not refused", () => {
    const r = new Rig("linux-7.3");
    const mr = r.reg(says(r, [at(0x10000)]), { offset: 5, sizeBytes: SIZE - 5, iova: 0x1005, access: [] });
    expect([mr.state, mr.iova, mr.sizeBytes, mr.lkey === mr.rkey]).toEqual(["mapped", 0x1005, SIZE - 5, true]);
  });
});

describe("at map", () => {
  it.each<[string, Run[], RigOptions]>([
    ["an address that is no page's", [at(0x10010)], {}],
    ["pages that are smaller than those of the device", [at(0x11000)], { rdma: { pageSizesLog2: [21] } }],
    ["a list that is shorter than the buffer", [at(0x10000, 0, PAGE)], {}],
    ["a list with a hole", [at(0x10000, 0, PAGE), at(0x20000, 2 * PAGE, 2 * PAGE)], {}],
  ])("EINVAL: %s", (_name, runs, options) => {
    const r = new Rig("linux-7.3", options);
    const buf = says(r, runs);
    for (const kind of KINDS) expect(r.answer(r.regOp(buf, { kind }))).toBe("EINVAL@map");
    const mr = r.reg(buf, { prefetch: false });
    expect(r.answer(r.rdma.prefetch(mr))).toBe("EINVAL@map");
    expect([mr.state, buf.attachments[0]?.liveMaps]).toEqual(["unmapped", 0]);
  });

  it("EINVAL: revoked while it registers, and it stays so", () => {
    const r = new Rig("linux-7.3");
    const buf: DmaBuf = says(r, [at(0x10000)], { pin: (_at, held) => r.fw.invalidate(buf, held), unpin() {} });
    const op = () => r.regOp(buf, { kind: "pinned-revocable" });
    expect(r.answer(op())).toBe("EINVAL@map");
    // There is no region yet that could be deregistered.
    expect(() => r.run(op())).toThrow(/while it was registered: register again/);
    expect(r.fw.findings).toEqual([]);
  });

  it.each<[string, Contract, Run]>([
    ["an address with a space, where one mapped for it is taken", annotatedAddress, { ...bus(), bridge: {} }],
  ])("EOPNOTSUPP: %s", (_name, contract, run) => {
    const r = new Rig("linux-7.3", { contract });
    expect(r.answer(r.regOp(says(r, [run])))).toBe("EOPNOTSUPP@map");
  });

  it("EOPNOTSUPP: an address of a bus that the function is not on", () => {
    const r = new Rig("annotated-address");
    expect(r.answer(r.regOp(says(r, [{ ...bus(), bridge: {} }])))).toBe("EOPNOTSUPP@map");
    expect(r.answer(r.regOp(r.bar(r.vfio())))).toBe("ok");
  });

  it("EFAULT: under vma every kind; what its mmap refuses comes first", () => {
    const r = new Rig("vma");
    const buf = r.bar(r.vfio());
    for (const kind of KINDS) expect(r.answer(r.regOp(buf, { kind }))).toBe("EFAULT@map");
    const refuses = says(r, [], {
      mmap() {
        throw r.fw.error("EINVAL", "mmap", "told to");
      },
    });
    expect(r.answer(r.regOp(refuses))).toBe("EINVAL@mmap");
  });

  it.each(SERVING.flatMap((id) => KINDS.map((kind) => [id, kind] as const)))(
    "ENOMEM: %s, %s: the n-th allocation fails, for every n",
    (id, kind) => {
      const seen: string[] = [];
      for (let n = 1; ; n++) {
        let left = n;
        const r: Rig = new Rig(id, { allocFails: (op) => isOn && --left === 0 && seen.push(op) > 0 });
        let isOn = false;
        const { buf } = r.udmabuf();
        isOn = true;
        const told = r.answer(r.regOp(buf, { kind }));
        if (told === "ok") break;
        expect(told).toMatch(/^ENOMEM@(map|attach|query)$/);
      }
      expect(seen).toEqual(expect.arrayContaining(["ib_reg_user_mr_dmabuf", "mlx5r_umr_update_mr_pas"]));
    },
  );
});

describe("what was registered", () => {
  it("EINVAL: deregistered twice, or with another device", () => {
    const r = new Rig("linux-7.3");
    const buf = r.bar(r.vfio());
    const mr = r.reg(buf);
    const other = rdmaImporter({ name: "other" })(r.fw, r.host);
    expect(r.answer(other.deregMr(mr))).toBe("EINVAL@map");
    expect(r.answer(r.rdma.deregMr(mr))).toBe("ok");
    expect(r.answer(r.rdma.deregMr(mr))).toBe("EINVAL@map");
    expect([other.name, r.rdma.name]).toEqual(["other", "0000:04:00.0"]);
  });

  it("EINVAL: requests that no function sends", () => {
    const { fw, host } = new Rig("linux-7.3");
    for (const issuesFrom of [1, -1, 0.5]) expect(() => rdmaImporter({ issuesFrom })(fw, host)).toThrow(/issuesFrom/);
    expect(() => rdmaImporter({ attachesFor: 1 })(fw, host)).toThrow(/attachesFor 1/);
  });

  it("EINVAL: page sizes that are none, and nothing where options or a host belong, where the importer is made", () => {
    const { fw, host } = new Rig("linux-7.3");
    for (const pageSizesLog2 of [[], [Number.NaN], [11], [12, 53], [12.5], 12 as never])
      expect(refusal(() => rdmaImporter({ pageSizesLog2 })(fw, host))).toBe("EINVAL@map");
    expect(refusal(() => rdmaImporter(null as never)(fw, host))).toBe("EINVAL@map");
    for (const none of [null, {}] as never[]) expect(refusal(() => rdmaImporter()(fw, none))).toBe("EINVAL@map");
    expect(refusal(() => rdmaImporter({ pageSizesLog2: [12, 52] })(fw, host))).toBe("ok");
  });

  it("EINVAL: no request, a side that is none, and bytes that are text", () => {
    const r = new Rig("linux-7.3");
    const { rkey: key } = r.reg(r.bar(r.vfio()));
    expect(r.answer(r.rdma.regMr(null as never))).toBe("EINVAL@map");
    const side = "far" as never;
    expect(r.answer(r.rdma.write({ key, iova: 0, side }, Uint8Array.of(1)))).toBe("EINVAL@map");
    expect(r.answer(r.rdma.read({ key, iova: 0, side }, 1))).toBe("EINVAL@map");
    for (const bytes of ["hi", null, [1]] as never[])
      expect(r.answer(r.rdma.write({ key, iova: 0 }, bytes))).toBe("EINVAL@map");
    expect(r.answer(r.rdma.write(null as never, Uint8Array.of(1)))).toBe("EINVAL@map");
    expect(r.byte(BAR)).toBe(0);
  });

  it("ENOENT: advice about what cannot fault, or is gone", () => {
    const r = new Rig("linux-7.3");
    const { buf } = r.udmabuf();
    const mr = r.reg(buf, { kind: "pinned" });
    expect(r.answer(r.rdma.prefetch(mr))).toBe("ENOENT@map");
    const gone = r.reg(buf);
    r.run(r.rdma.deregMr(gone));
    expect(r.answer(r.rdma.prefetch(gone))).toBe("ENOENT@map");
  });

  it("EINVAL: a place of an access that is no whole number; too much of it is a completion", () => {
    const r = new Rig("linux-7.3");
    const { rkey: key } = r.reg(r.bar(r.vfio()));
    for (const iova of [0.5, -1, Number.NaN, 2 ** 53])
      expect(r.answer(r.rdma.write({ key, iova }, Uint8Array.of(1)))).toBe("EINVAL@map");
    for (const size of [0.5, -1, Number.NaN, 2 ** 53])
      expect(r.answer(r.rdma.read({ key, iova: 0 }, size))).toBe("EINVAL@map");
    expect(r.read({ key, iova: 0 }, 2 ** 50).kind).toBe("protection-error");
    expect(r.byte(BAR)).toBe(0);
  });

  it("a page fault that is refused is a completion with its cause, and the next one may succeed", () => {
    const r = new Rig("linux-7.3");
    let fails = true;
    const buf = says(r, [], {
      mapDmaBuf() {
        if (fails) throw r.fw.error("EBUSY", "mapDmaBuf", "told to");
        return { runs: [at(0x10000)] };
      },
    });
    const mr = r.reg(buf, { prefetch: false });
    const to = { key: mr.lkey, iova: 0, side: "local" } as const;
    expect(r.write(to, 1)).toMatchObject({ status: "LOC_PROT_ERR", cause: { code: "EBUSY" } });
    fails = false;
    expect(r.write(to, 1).kind).toBe("done");
    expect(r.byte(0x10000)).toBe(1);
  });
});

function bus(): Extract<Run, { kind: "pci-bus" }> {
  const attributes = { cache: "uc", snoop: false } as const;
  return { kind: "pci-bus", offset: 0, sizeBytes: SIZE, address: addr(0x10000), attributes, bridge: {} };
}

it("a contract of somebody else's is no matter: nothing asks for its name", () => {
  const r = new Rig("linux-7.3", { contract: { ...linux73, id: "mine" } });
  expect(r.reg(r.bar(r.vfio())).state).toBe("mapped");
});

it("its module offers it under its contract, and what it offers has a name", () => {
  const offered: RdmaPlugin = dmaBufPlugin;
  expect([offered.kind, offered.contracts, offered.create === rdmaImporter]).toEqual(["importer", ["linux-7.3"], true]);
});
