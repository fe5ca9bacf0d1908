/** A framework that listens: every callback of exporter and importer goes through it and leaves a record. */
import {
  type CallName,
  type Device,
  type DmaBuf,
  type DmaBufAttachment,
  type DmaBufExportInfo,
  DmaBufError,
  type DmaBufOps,
  type ErrnoName,
  Framework,
  type FrameworkOptions,
  type Importer,
  isOp,
  type Op,
} from "@dma-buf/core";

/** A requirement that was not kept. */
export interface Breach {
  /** The row's id. */
  readonly requirement: string;
  readonly message: string;
}

/** What a recorder may be told. */
export interface RecorderOptions extends FrameworkOptions {
  /** An errno that was made to happen: every call that can be refused may be refused with it. */
  readonly injected?: ErrnoName;
}

/** Each once, with the rule in front. */
export function messages(breaches: readonly Breach[]): string[] {
  return [...new Set(breaches.map(({ requirement, message }) => `${requirement}: ${message}`))];
}

/** Collects breaches: its own, and the framework's findings. */
export class Recorder extends Framework {
  /** Calls of each callback so far. */
  readonly calls: Partial<Record<CallName, number>> = {};
  /** Framework calls that were made. */
  readonly made: Set<CallName> = new Set();
  #released = false;

  readonly #injected: ErrnoName | undefined;

  constructor(options: RecorderOptions) {
    super({ trace: false, ...options });
    this.#injected = options.injected;
  }

  /**
   * What the first break of a rule was, in order: all of that requirement. What comes after another rule was broken
   * may only follow from it, and is not counted: mend the first, and check again.
   */
  get breaches(): readonly Breach[] {
    const [first] = this.findings;
    return this.findings.filter((f) => f.requirement === first?.requirement);
  }

  /** Books a breach of the row of `call`. */
  breach(call: CallName, message: string): void {
    const { party = "framework" } = this.contract.rows[call] ?? {};
    this.report("violation", call, party === "file" ? "framework" : party, message);
  }

  /** Leaves out what the core warned of since there were `known` findings; broken rules stay. */
  forgetWarnings(known: number): void {
    const since = this.env.findings.splice(known);
    this.env.findings.push(...since.filter((f) => f.level !== "warn"));
  }

  /** Leaves out what the contract was posted with: that is no plugin's. */
  forgetPosted(): void {
    const ids = new Set(this.contract.defects.map(({ id }) => id));
    const all = this.env.findings.splice(0);
    this.env.findings.push(...all.filter(({ requirement }) => !ids.has(requirement)));
  }

  override enter(...args: Parameters<Framework["enter"]>): ReturnType<Framework["enter"]> {
    this.made.add(args[0]);
    return super.enter(...args);
  }

  override export(info: DmaBufExportInfo): DmaBuf {
    return super.export({ ...info, ops: this.#listen(info.ops) });
  }

  override *dynamicAttach(buf: DmaBuf, device: Device | null, importer: Importer): Op<DmaBufAttachment> {
    const { ops } = importer;
    const { invalidateMappings } = ops ?? {};
    if (!ops || !invalidateMappings) return yield* super.dynamicAttach(buf, device, importer);
    const listened = this.#wrap("invalidateMappings", invalidateMappings.bind(ops) as (...args: unknown[]) => unknown);
    return yield* super.dynamicAttach(buf, device, {
      ...importer,
      ops: { ...ops, invalidateMappings: listened as never },
    });
  }

  #listen(ops: DmaBufOps): DmaBufOps {
    const listened: Record<string, unknown> = { ...ops };
    for (const [call, callback] of Object.entries(ops))
      if (typeof callback === "function") listened[call] = this.#wrap(call as CallName, callback.bind(ops));
    return listened;
  }

  #wrap(call: CallName, callback: (...args: unknown[]) => unknown): (...args: unknown[]) => unknown {
    return (...args) => {
      this.calls[call] = (this.calls[call] ?? 0) + 1;
      if (this.#released) this.breach(call === "release" ? "release" : call, `${call} is called after release`);
      if (call === "release") this.#released = true;
      try {
        const result = callback(...args);
        return isOp(result) ? this.#watch(call, result) : result;
      } catch (error) {
        throw this.#judge(call, error);
      }
    };
  }

  *#watch(call: CallName, op: Op<unknown>): Op<unknown> {
    try {
      return yield* op;
    } catch (error) {
      throw this.#judge(call, error);
    }
  }

  /** A refusal is an errno of the row. What is no refusal, or comes out of who cannot refuse, the core books itself. */
  #judge(call: CallName, error: unknown): unknown {
    const { errors = {} } = this.contract.rows[call] ?? {};
    const allowed = Object.keys(errors);
    if (!(error instanceof DmaBufError) || allowed.length === 0) return error;
    if (!(error.code in errors) && error.code !== this.#injected)
      this.breach(call, `throws ${String(error)}: the row lists ${allowed.join(", ")}`);
    return error;
  }
}
