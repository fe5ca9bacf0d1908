// The importers as a measurement drives them: import and use all of a buffer, let go of it. Where they keep their tables is
// told too, so that somebody else can count in them.
import { addr } from "@dma-buf/core";
import { amdgpuVm, createTableMemory, dump } from "@dma-buf/page-table";
import { GuestVm, MachineIommufd } from "../../packages/machine/dist/index.js";

/** Aligned to every leaf size, and behind what fits in 2 TiB. */
const AT = 2 ** 41;
/** `IOMMU_IOAS_MAP_FIXED_IOVA`, `WRITEABLE` and `READABLE`. */
const FIXED_READ_WRITE = 7;
const plugins = (name) => ({
  load: (variant) => import(`../../packages/importer-${name}/dist/${variant}.js`),
});

/** One importer: `make(world, module)` gives the player. */
export const importers = [
  {
    name: "importer-iommufd",
    title: "iommufd: an IOAS, one device attached, VT-d",
    ...plugins("iommufd"),
    make({ framework, machine, device, tables }, { iommufdImporter }) {
      const iommufd = iommufdImporter()(framework, new MachineIommufd(machine));
      const ioas = iommufd.createIoas();
      const bound = iommufd.bind(device);
      return {
        *use(buf) {
          yield* bound.attach(ioas);
          const length = BigInt(buf.sizeBytes);
          yield* ioas.mapFile({ file: buf, start: 0n, length, iova: BigInt(AT), flags: FIXED_READ_WRITE });
          for (const at of [0, buf.sizeBytes - 8]) yield* device.read(addr(AT + at), 8);
        },
        close: () => iommufd.close(),
        leaves: () => leavesOf([...tables.values()].at(-1)),
        flushes: ["iommu.flush.request"],
      };
    },
  },
  {
    name: "importer-kvm",
    title: "KVM: a memory slot, one vCPU that reads from each leaf, EPT",
    ...plugins("kvm"),
    make({ framework, machine }, { kvmImporter }) {
      const vm = new GuestVm(machine, "guest", false);
      const kvm = kvmImporter()(framework, vm);
      return {
        *use(buf) {
          yield* kvm.setMemslot({ gpa: addr(AT), sizeBytes: buf.sizeBytes, buf, offset: 0 });
          for (let gpa = AT; gpa < AT + buf.sizeBytes; gpa += vm.table.translate(gpa, "read").leafSizeBytes)
            yield* kvm.read(addr(gpa), 8);
        },
        close: () => kvm.destroy(),
        leaves: () => leavesOf(vm.table),
        flushes: ["kvm.flush_remote_tlbs"],
      };
    },
  },
  {
    name: "importer-rdma",
    title: "RDMA, an on-demand memory region",
    ...plugins("rdma"),
    make({ framework, machine, device }, { rdmaImporter }) {
      const rdma = rdmaImporter()(framework, { functions: [device], memory: machine.memory });
      let mr;
      return {
        *use(buf) {
          mr = yield* rdma.regMr({ buf, kind: "on-demand", offset: 0, sizeBytes: buf.sizeBytes, iova: AT });
          for (const at of [0, buf.sizeBytes - 8]) yield* rdma.read({ key: mr.rkey, iova: AT + at }, 8);
        },
        close: () => rdma.deregMr(mr),
        leaves: () => new Map([[mr.pageBytes, mr.entries]]),
        // The device's own table, not one of pages.
        present: () => (mr?.state === "mapped" ? mr.entries : 0),
        flushes: ["rdma.umr_flush"],
      };
    },
  },
  {
    name: "importer-gpu",
    title: "GPU, dynamic, one range of one address space",
    ...plugins("gpu"),
    make({ framework, machine, device }, { gpuImporter }) {
      const { pool, root } = poolOf(2 ** 23);
      const gpu = gpuImporter()(framework, { device, memory: machine.memory, tables: pool });
      const vm = gpu.createVm();
      let bo;
      return {
        pool,
        *use(buf) {
          bo = yield* gpu.import(buf);
          vm.map(bo, { va: AT });
          const commands = [
            { do: "read", va: AT, sizeBytes: 8 },
            { do: "read", va: AT + buf.sizeBytes - 8, sizeBytes: 8 },
          ];
          const job = yield* gpu.submit({ vm, buffers: [{ bo }], commands });
          yield* job.fence.wait();
          job.fence.put();
        },
        *close() {
          yield* gpu.close(bo);
        },
        leaves: () => leavesOf({ leaves: () => dumped(pool, root()) }),
        flushes: ["gpu.tlb.flush"],
      };
    },
  },
];

/** Memory for tables that is also what hardware reads; the first table out of it is the root. */
function poolOf(sizeBytes) {
  const memory = createTableMemory({ basePhys: addr(0x1000_0000), sizeBytes });
  const entries = new BigUint64Array(memory.words.buffer);
  const tables = [];
  const pool = {
    basePhys: memory.basePhys,
    sizeBytes,
    words: memory.words,
    doubles: memory.doubles,
    get liveTables() {
      return memory.liveTables;
    },
    allocTable(n) {
      tables.push(memory.allocTable(n));
      return tables.at(-1);
    },
    freeTable: (table, n) => memory.freeTable(table, n),
    readEntry: (at) => entries[(at - memory.basePhys) / 8] ?? null,
  };
  return { pool, root: () => tables[0] };
}

/** The leaves of a GPU's table, as its hardware reads it: the driver shows the table to nobody. */
function* dumped(pool, root) {
  for (const { is } of dump(amdgpuVm, pool, { root, levels: amdgpuVm.levels })) if (is.kind === "leaf") yield is;
}

/** How many leaves of each size. */
function leavesOf(table) {
  const count = new Map();
  for (const { sizeBytes } of table.leaves()) count.set(sizeBytes, (count.get(sizeBytes) ?? 0) + 1);
  return count;
}
