/** Every format. What stands here is tested: bits, laws, errors and counts. */
import type { Format } from "../format.js";
import { amdV1 } from "./amd-v1.js";
import { armStage2 } from "./arm-stage2.js";
import { ept } from "./ept.js";
import { riscvSv48 } from "./riscv-sv48.js";
import { vtdSecondStage } from "./vtd-second-stage.js";
import { npt, x86 } from "./x86-64.js";

/**
 * The formats, each in its usual configuration.
 * @example
 * formats.map((format) => format.id).includes("ept"); // true
 */
export const formats: readonly Format[] = [vtdSecondStage, amdV1, x86, npt, ept, armStage2, riscvSv48];
