// The test runner, in one place. Packages of the workspace resolve to their sources through a private condition, so
// tests need no build. Setting conditions replaces vite's own list, so its server defaults are repeated; a project
// does not inherit the root's resolve settings, which is why every package calls this.
import { defineProject } from "vitest/config";

const conditions = ["@dma-buf/source", "module", "node", "development|production"];

export function project(name) {
  return defineProject({
    ssr: { resolve: { conditions, externalConditions: conditions } },
    test: { name, include: ["src/**/*.test.ts"] },
  });
}
