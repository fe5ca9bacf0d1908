import { exporter } from "@dma-buf/config/tsup";

export default exporter();
