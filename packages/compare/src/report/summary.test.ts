import { expect, it } from "vitest";
import type { Result } from "../result.js";
import { summaryOf } from "./summary.js";
import { OK_RESULT } from "./testing.js";

const bad = (change: Partial<Result>): Result => ({ ...OK_RESULT, conforming: { verdict: "STALE" }, ...change });
const fault = { party: "importer", what: "no retry" } as const;

it("counts against a contract what is its own doing, and nothing else", () => {
  const summary = summaryOf("a", [
    OK_RESULT,
    bad({ blame: "contract" }),
    bad({ blame: "importer" }),
    bad({ blame: "contract", contract: "b" }),
    bad({ blame: "contract", conforming: { verdict: "FAULT" } }),
  ]);
  expect(summary).toMatchObject({ cells: 4, ok: 1, blamed: { contract: 2, importer: 1 } });
  expect(summary.contractVerdicts).toEqual([
    ["FAULT", 1],
    ["STALE", 1],
  ]);
});

it("keeps injected faults apart, and says how many the contract lets through", () => {
  const summary = summaryOf("a", [bad({ blame: "contract", fault }), bad({ blame: "importer", fault }), OK_RESULT]);
  expect(summary).toMatchObject({ cells: 1, ok: 1, faults: { cells: 2, contract: 1 }, blamed: { contract: 0 } });
});

it("counts neither what cannot be built nor, as unexpected, what is contested", () => {
  const na = bad({ conforming: { verdict: "NA" } });
  const summary = summaryOf("a", [na, bad({ asExpected: false }), bad({ asExpected: false, contested: "because" })]);
  expect(summary).toMatchObject({ cells: 2, unexpected: 1, contested: 1 });
});
