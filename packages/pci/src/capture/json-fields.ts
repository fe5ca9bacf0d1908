/** Values out of JSON, each checked, with errors that name the path: `functions[3].bars[0].base`. */
import { addr, type PhysAddr } from "@dma-buf/core";
import { CaptureError } from "./capture-error.js";
import { printable } from "./printable.js";

const HOW = "Write it with `dma-buf capture`, or mend the value";

/** One value and where it stands. */
export class Field {
  readonly value: unknown;
  readonly path: string;
  readonly #source: string;

  constructor(value: unknown, path: string, source: string) {
    this.value = value;
    this.path = path;
    this.#source = source;
  }

  refuse(rule: string): CaptureError {
    const shown = JSON.stringify(this.value)?.slice(0, 60) ?? "missing";
    return new CaptureError("JSON", this.#source, `${this.path || "the top"} is ${shown}, and must be ${rule}`, HOW);
  }

  get(key: string): Field {
    const object = this.#object();
    const value: unknown = Object.hasOwn(object, key) ? object[key] : undefined;
    return new Field(value, this.path === "" ? key : `${this.path}.${key}`, this.#source);
  }

  entries(): [string, Field][] {
    return Object.keys(this.#object()).map((key) => [key, this.get(key)]);
  }

  items(): Field[] {
    if (!Array.isArray(this.value)) throw this.refuse("an array");
    return this.value.map((item: unknown, i) => new Field(item, `${this.path}[${i}]`, this.#source));
  }

  text(): string {
    if (typeof this.value !== "string") throw this.refuse("a string");
    return printable(this.value);
  }

  flag(): boolean {
    if (typeof this.value !== "boolean") throw this.refuse("true or false");
    return this.value;
  }

  integer(min: number, max: number): number {
    const { value } = this;
    if (typeof value !== "number" || !Number.isSafeInteger(value) || Object.is(value, -0) || value < min || value > max)
      throw this.refuse(`an integer from ${min} to ${max}`);
    return value;
  }

  natural(): number {
    return this.integer(0, Number.MAX_SAFE_INTEGER);
  }

  /** `"0x10de"`: numbers that people read in hexadecimal. */
  hex(max: number = Number.MAX_SAFE_INTEGER): number {
    const rule = `a string like "0x1f", up to 0x${max.toString(16)}`;
    if (typeof this.value !== "string" || !/^0x[0-9a-f]{1,16}$/i.test(this.value)) throw this.refuse(rule);
    const value = Number(this.value);
    if (!Number.isSafeInteger(value) || value > max) throw this.refuse(rule);
    return value;
  }

  address(): PhysAddr {
    return addr<PhysAddr>(this.hex());
  }

  oneOf<T extends string | number>(...allowed: readonly T[]): T {
    const found = allowed.find((value) => value === this.value);
    if (found === undefined) throw this.refuse(`one of ${allowed.join(", ")}`);
    return found;
  }

  matching(pattern: RegExp, rule: string): string {
    if (typeof this.value !== "string" || !pattern.test(this.value)) throw this.refuse(rule);
    return this.value;
  }

  orNull<T>(read: (field: Field) => T): T | null {
    return this.value === null ? null : read(this);
  }

  orUnknown<T>(read: (field: Field) => T): T | "unknown" {
    return this.value === "unknown" ? "unknown" : read(this);
  }

  #object(): Record<string, unknown> {
    const { value } = this;
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw this.refuse("an object");
    return value as Record<string, unknown>;
  }
}
