// The test runner, in one place. Packages of the workspace resolve to their sources through a private condition, so
// tests need no build. Setting conditions replaces vite's own list, so its server defaults are repeated; a project
// does not inherit the root's resolve settings, which is why every package calls this.
import { defineProject } from "vitest/config";

const conditions = ["@dma-buf/source", "module", "node", "development|production"];

export function project(name) {
  return defineProject({
    ssr: { resolve: { conditions, externalConditions: conditions } },
    // A search of all orders takes as long as the machine is busy: the limit is there for hangs alone.
    test: { name, include: ["src/**/*.test.ts"], testTimeout: 60_000 },
  });
}
