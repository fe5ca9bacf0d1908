/**
 * An exporter of yours in the place of vfio-pci: a BAR of a function, whole, for whoever is its peer on a bus. A buffer is
 * a file: it lives until its last reference is gone. Simpler than ours: it takes no ranges, and knows one route, the bus.
 */
import { DmaBufError } from "@dma-buf/core";

const refuse = (code, stage, message) => new DmaBufError(code, { op: "my_exporter", stage, message });

function create() {
  return (framework, host) => {
    const buffers = new Set();
    let isRevoked = false;

    /** One run: where the peer reaches the BAR on its bus. */
    function table(at, provider, region) {
      if (isRevoked) throw refuse("ENODEV", "map", "the memory was taken away: wait until it is given back");
      const { mapType, reason } = provider.verdict(at.device);
      if (mapType !== "bus-address") throw refuse("EREMOTEIO", "map", `no way over the bus: ${reason}`);
      const address = region.physical - provider.busOffsetBytes;
      return { runs: [{ kind: "dma", offset: 0, sizeBytes: region.sizeBytes, address, attributes: null }] };
    }

    return {
      name: "my-exporter",
      *export({ regionIndex, ranges }) {
        const region = host.region(regionIndex);
        const provider = host.provider(regionIndex);
        if (!region || !provider) throw refuse("ENODEV", "export", `no memory behind region ${regionIndex}`);
        const isWhole = ranges.length === 1 && ranges[0].offset === 0 && ranges[0].length === region.sizeBytes;
        if (!isWhole) throw refuse("EOPNOTSUPP", "export", "a part of a region: export it whole");
        const ops = {
          attach(at) {
            if (!at.device) throw refuse("ENODEV", "attach", "who does DMA must say with which device");
            if (!at.peer2peer) throw refuse("EOPNOTSUPP", "attach", "device memory, and the importer takes none");
          },
          mapDmaBuf: (at) => table(at, provider, region),
          unmapDmaBuf() {},
          pin: () => {
            throw refuse("EOPNOTSUPP", "pin", "it may be revoked at any time");
          },
          unpin() {},
          release: () => void buffers.delete(buf),
        };
        const buf = framework.export({ exporterName: "my-exporter", sizeBytes: region.sizeBytes, priv: region, ops });
        buffers.add(buf);
        return buf;
      },
      revoke: () => taken(true),
      restore: () => taken(false),
      setMemoryEnabled: (on) => taken(!on),
    };

    /** Tells everybody who mapped, holding each buffer's reservation. */
    function* taken(is) {
      isRevoked = is;
      if (!is) return;
      for (const buf of buffers) {
        const held = yield* buf.resv.lock();
        try {
          yield* framework.invalidate(buf, held);
        } finally {
          held[Symbol.dispose]();
        }
      }
    }
  };
}

export const dmaBufPlugin = {
  schemaVersion: 1,
  kind: "exporter",
  name: "my-exporter",
  plays: "vfio-pci",
  contracts: ["dma-address"],
  capabilities: ["revoke"],
  create,
};
