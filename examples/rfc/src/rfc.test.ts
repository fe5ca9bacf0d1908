import { fileURLToPath } from "node:url";
import { compare, compareInParallel, loadModules, nearest } from "@dma-buf/compare";
import { expect, it } from "vitest";

const at = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));
const contractModules = [at("rfc-january-2025.mjs"), at("rfc-locked.mjs")];

it("is played by those who play under page frames", async () => {
  const { columns } = await loadModules({ contractModules });
  expect(columns.map((column) => [column.contract.id, nearest(column.contract).contract.id])).toEqual([
    ["rfc-january-2025", "pfn"],
    ["rfc-locked", "pfn"],
  ]);
});

it("says of the series what the column that comes with the comparison says, and that the fix closes the race", async () => {
  const { results } = await compareInParallel({ contractModules, scenarios: ["S34c", "S15a"] });
  const of = (scenario: string) =>
    results.filter((r) => r.scenario === scenario).map((r) => `${r.contract} ${r.conforming.verdict}`);
  expect(of("S34c")).toEqual(expect.arrayContaining(["pfn STALE", "rfc-january-2025 STALE", "rfc-locked OK"]));
  expect(of("S15a")).toEqual(expect.arrayContaining(["pfn CORRUPT", "rfc-january-2025 CORRUPT", "rfc-locked CORRUPT"]));
});

it.each(["S38a", "S39b", "S56b", "S07", "S08c", "S57a"])(
  "is read in %s as that column is: by the same implementations, or not at all",
  async (scenario) => {
    const { columns } = await loadModules({ contractModules: contractModules.slice(0, 1) });
    const { results } = compare({ columns, scenarios: [scenario], contracts: ["pfn", "rfc-january-2025"] });
    const [ours, theirs] = results.map(({ conforming, blame, rule }) => ({ conforming, blame, rule: rule.text }));
    expect(theirs).toEqual(ours);
  },
);

it("rests on the platform model where that column does", async () => {
  const { columns } = await loadModules({ contractModules: contractModules.slice(0, 1) });
  const basis = (scenario: string) =>
    compare({ columns, scenarios: [scenario], contracts: ["rfc-january-2025"] }).results.map((r) => r.basis);
  expect([basis("S32b"), basis("S15a")]).toEqual([["platform, unverified"], ["derived"]]);
});

it("is the contract's doing", async () => {
  const { columns } = await loadModules({ contractModules });
  const { results } = compare({ columns, scenarios: ["S34c"], contracts: ["rfc-january-2025"] });
  expect(results.map((r) => [r.blame, r.expected, r.asExpected])).toEqual([["contract", null, true]]);
});
