import { library } from "@dma-buf/config/tsup";

export default library(["src/index.ts", "src/worker.ts"], {
  // For `import.meta.url` in CommonJS: what stands beside the code is found by it.
  shims: true,
  onSuccess: "node compile-catalogue.mjs",
});
