// The published command carries the captures that stand at the repository's root.
import { cpSync } from "node:fs";

cpSync("../../machines", "machines", { recursive: true });
