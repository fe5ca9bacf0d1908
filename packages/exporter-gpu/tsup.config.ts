import { library } from "@dma-buf/config/tsup";

export default library([
  "src/index.ts",
  "src/dma-address.ts",
  "src/vma.ts",
  "src/pfn.ts",
  "src/pfn-locked.ts",
  "src/annotated-address.ts",
  "src/linux-7.3.ts",
]);
