/** A refusal, and where in the life of a buffer it came. */
import { ERRNO, type ErrnoName } from "./contracts/errno.js";

/**
 * The stage at which an operation was refused: the vocabulary of the scenario catalogue, and for what no scenario
 * asks about, the kind of object that refused.
 */
export type Stage =
  | "export"
  | "attach"
  | "pin"
  | "map"
  | "query"
  | "mmap"
  | "memslot"
  | "vcpu-run"
  | "guest"
  | "cpu-access"
  | "fd"
  | "lock"
  | "fence";

/** What a {@link DmaBufError} carries besides its errno. */
export interface DmaBufErrorInit {
  /** The call that failed: `dma_buf_export`, `IOMMU_IOAS_MAP_FILE`. */
  readonly op: string;
  /** Where in the life of a buffer it failed. */
  readonly stage: Stage;
  /** The rule that was broken and the remedy, one sentence each. */
  readonly message: string;
  /** The offending values, by name. */
  readonly values?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

const brand: unique symbol = Symbol.for("@dma-buf/core.DmaBufError") as never;

/**
 * The one error of the project: an operation that was refused. It has the shape of Node's system errors
 * (`code` is the errno's name, `errno` the negative number), so that a caller handles it as it handles `fs`.
 *
 * `instanceof` works across copies of this package: it asks for the `Symbol.for` brand, not for the class.
 * A broken promise of a plugin is not an error but a finding; see `Finding`.
 * @example
 * try {
 *   scheduler.complete("import", framework.dynamicAttach(buf, null, importer));
 * } catch (error) {
 *   if (error instanceof DmaBufError && error.code === "EINVAL") console.log(error.stage, error.message);
 * }
 */
export class DmaBufError extends Error {
  override readonly name = "DmaBufError";
  readonly code: ErrnoName;
  readonly errno: number;
  readonly op: string;
  readonly stage: Stage;
  readonly values: Readonly<Record<string, unknown>>;

  constructor(code: ErrnoName, init: DmaBufErrorInit) {
    super(`${init.op}: ${code}: ${init.message}`, "cause" in init ? { cause: init.cause } : {});
    this.code = code;
    this.errno = -ERRNO[code];
    this.op = init.op;
    this.stage = init.stage;
    this.values = init.values ?? {};
    Object.defineProperty(this, brand, { value: true });
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === "object" && value !== null && (value as { [brand]?: unknown })[brand] === true;
  }
}
