/** Every format. What stands here is tested: bits, laws, errors and counts. */
import type { Format } from "../format.js";
import { amdgpuVm } from "./amdgpu-vm.js";
import { amdV1 } from "./amd-v1.js";
import { armStage2 } from "./arm-stage2.js";
import { ept } from "./ept.js";
import { riscvSv48 } from "./riscv-sv48.js";
import { vtdSecondStage } from "./vtd-second-stage.js";
import { npt, x86 } from "./x86-64.js";

export { amdgpuVm } from "./amdgpu-vm.js";
export { amdV1, type AmdV1Options, createAmdV1 } from "./amd-v1.js";
export { armStage2, type ArmStage2Options, createArmStage2 } from "./arm-stage2.js";
export { createEpt, ept, type EptOptions } from "./ept.js";
export { createRiscvSv48, riscvSv48, type RiscvSv48Options } from "./riscv-sv48.js";
export { createVtdSecondStage, vtdSecondStage, type VtdSecondStageOptions } from "./vtd-second-stage.js";
export { createNpt, createX86, npt, x86, type X86Options } from "./x86-64.js";

/**
 * The formats, each in its usual configuration.
 * @example
 * formats.map((format) => format.id).includes("ept"); // true
 */
export const formats: readonly Format[] = [vtdSecondStage, amdV1, x86, npt, ept, armStage2, riscvSv48, amdgpuVm];
