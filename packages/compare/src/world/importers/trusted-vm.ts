/** A VM on a platform with trusted I/O: firmware sees its private mappings go, and may stop its accesses. */
import type { Op } from "@dma-buf/core";
import type { KvmHost, KvmVcpuHost } from "@dma-buf/importer-kvm";
import type { GuestVm, Vcpu } from "@dma-buf/machine";
import type { TrustedIo } from "../trusted-io.js";

/** What KVM is given: the VM, with firmware that watches its second stage. */
export function trustedHost(vm: GuestVm, trustedIo: TrustedIo): KvmHost {
  let hadPrivate = false;
  const { name, privateMemory, table, tables, memory, guestMemory } = vm;
  const hasPrivate = (): boolean =>
    [...table.leaves()].some(({ physical, sizeBytes }) =>
      trustedIo.report.some((r) => r.base < physical + sizeBytes && physical < r.base + r.sizeBytes),
    );
  return {
    name,
    privateMemory,
    table,
    tables,
    memory,
    guestMemory,
    trustedIo: privateMemory ? trustedIo : null,
    vcpus: vm.vcpus.map((vcpu) =>
      watched(
        vcpu,
        () => trustedIo.abortOf(name),
        () => (hadPrivate = hasPrivate()),
      ),
    ),
    *flushTlb() {
      yield* vm.flushTlb();
      if (hadPrivate && !hasPrivate()) trustedIo.unmapped(name);
      hadPrivate = hasPrivate();
    },
  };
}

/** `entered`: the vCPU was in its guest, and used what is mapped. */
function watched(vcpu: Vcpu, aborts: () => string | null, entered: () => void): KvmVcpuHost {
  const enter = function* <T>(access: Op<T>): Op<T | { kind: "fault"; by: string; reason: string }> {
    const reason = aborts();
    if (reason !== null) return { kind: "fault", by: "an abort", reason };
    const result = yield* access;
    entered();
    return result;
  };
  return {
    write: (gpa, bytes) => enter(vcpu.write(gpa, bytes)),
    read: (gpa, sizeBytes) => enter(vcpu.read(gpa, sizeBytes)),
    fetch: (gpa, sizeBytes) => enter(vcpu.fetch(gpa, sizeBytes)),
  };
}
