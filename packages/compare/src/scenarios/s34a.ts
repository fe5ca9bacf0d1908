import type { Scenario } from "../scenario.js";

export const s34a: Scenario = {
  id: "S34a",
  title: "Query races revoke, importer with a retry of its own (KVM)",
  question: "If KVM has asked for an address and the exporter revokes before KVM installs it, does the entry survive?",
  source: "König c10ae58f, 0d77dc64; Xu Z5BxI3ef; virt/kvm/kvm_main.c: mmu_invalidate_retry_gfn()",
  order: 7,
  topology: { base: "T4", offset: "zero", iommu: "off", forwards: "unknown", allowlisted: false, privateMemory: true },
  importers: [{ kind: "kvm", role: "kvm" }],
  importerClass: "zap",
  steps: [
    { do: "import", by: 0 },
    {
      do: "race",
      tasks: { vcpu: [{ do: "read", by: 0, offset: 0, sizeBytes: 64 }], exporter: [{ do: "revoke" }] },
    },
    { do: "read", by: 0, offset: 0, sizeBytes: 64 },
  ],
  implementations: { pfn: "kvm-rfc+vfio-rfc" },
  expected: {
    "dma-address": {
      asPosted: { verdict: "NA" },
      conforming: { verdict: "REFUSED", errno: "EINVAL", stage: "attach" },
      blame: "contract",
      basis: "code",
    },
    pfn: {
      asPosted: { verdict: "OK" },
      conforming: { verdict: "OK" },
      blame: "none",
      basis: "posted",
    },
  },
};
