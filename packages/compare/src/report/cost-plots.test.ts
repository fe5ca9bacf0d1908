import { expect, it } from "vitest";
import { costPlots } from "./cost-plots.js";

const { text } = costPlots();

it("draws each importer and each count, of both backings", () => {
  expect(text.match(/<svg class="chart"/g)).toHaveLength(24);
  expect(text).not.toMatch(/NaN|Infinity|undefined/);
});

it("says what a line says", () => {
  expect(text).toContain(
    "iommufd: exporter asked: vma from 17 to 1,025; pfn, pfn-locked, linux-7.3 from 2 to 2; annotated-address from 3 to 3",
  );
});
