/** Which rows stand together: where contracts differ, where they agree, and what somebody broke on purpose. */
import type { Result } from "@dma-buf/compare";
import { rowDiffers } from "../verdict.js";

export interface Section {
  readonly heading: string;
  readonly rows: readonly Result[][];
}

export function sectionsOf(rows: readonly Result[][]): Section[] {
  const fair = rows.filter(([first]) => first?.fault === null);
  const broken = rows.filter(([first]) => first?.fault !== null);
  const single = rows[0]?.length === 1;
  return [
    { heading: "Where the contracts differ", rows: single ? [] : fair.filter(rowDiffers) },
    {
      heading: single ? "Scenarios" : "Where they agree",
      rows: single ? fair : fair.filter((row) => !rowDiffers(row)),
    },
    { heading: "Where somebody breaks a rule on purpose", rows: broken },
  ].filter((section) => section.rows.length > 0);
}
