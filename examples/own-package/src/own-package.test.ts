import { fileURLToPath } from "node:url";
import { compareInParallel } from "@dma-buf/compare";
import { expect, it } from "vitest";

const at = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));

it("puts an exporter in the place of vfio-pci, where it says that it plays", async () => {
  const { results } = await compareInParallel({
    exporterModules: [at("my-exporter.mjs")],
    scenarios: ["S01a", "S34a", "S19b"],
  });
  expect(results.map((r) => [r.scenario, r.contract, r.conforming.verdict, r.packages[0]])).toEqual([
    ["S01a", "dma-address", "OK", "my-exporter"],
    ["S34a", "dma-address", "REFUSED", "my-exporter"],
  ]);
});

it("puts an importer in the place of the NIC, and says that it is its doing", async () => {
  const { results } = await compareInParallel({ importerModules: [at("my-importer.mjs")], scenarios: ["S34b"] });
  expect(results.map((r) => [r.contract, r.conforming.verdict, r.blame, r.packages])).toEqual([
    ["pfn", "STALE", "importer", ["@dma-buf/exporter-vfio", "my-nic"]],
  ]);
});
