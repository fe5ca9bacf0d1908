import { conformance, type ExporterSubject } from "@dma-buf/conformance";
import { describe, it } from "vitest";
import { item, VARIANTS } from "./host.test.js";
import { PaperHost } from "./testing.js";

type Variant = (typeof VARIANTS)[number];

const udmabuf = ({ name, contract, module }: Variant, movable: boolean, order: number): ExporterSubject => ({
  kind: "exporter",
  name: `udmabuf/${name}${movable ? " (movable)" : ""}, order ${order}`,
  contract,
  capabilities: [
    ...(module.dmaBufPlugin.capabilities as ExporterSubject["capabilities"]),
    ...(movable ? (["move"] as const) : []),
    ...(movable && contract.rows.pin ? (["pin"] as const) : []),
  ],
  create(framework, witness) {
    const host = new PaperHost(witness, order);
    const exporter = module.udmabufExporter({ movable })(framework, host);
    return {
      export: () => exporter.create([item(PaperHost.FD, 2, 2), item(PaperHost.FD, 0, 1)]),
      ledger: () => ({ ...exporter.ledger, paper: host.out }),
      ...(movable ? { move: () => host.move(2) } : {}),
    };
  },
});

for (const variant of VARIANTS)
  for (const movable of [false, true])
    conformance({ describe, it }, udmabuf(variant, movable, movable ? 0 : 1), { stepsMax: 150_000 });
