import { library } from "@dma-buf/config/tsup";

export default library(["src/index.ts", "src/node.ts"]);
