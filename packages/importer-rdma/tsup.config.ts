import { plugin } from "@dma-buf/config/tsup";

export default plugin();
