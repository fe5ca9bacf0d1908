/** Structs of the uAPI as bytes: little endian, each field at its offset. A field of 64 bits is a bigint, others are Numbers. */

const BYTES = { u16: 2, u32: 4, s32: 4, u64: 8 } as const;

type FieldType = keyof typeof BYTES;

/** Where a field begins, bytes, and what it is. */
export type Field = readonly [offset: number, type: FieldType];

/** One struct. Its first field, `size`, is userspace's idea of how long it is, and not among the others. */
export interface StructLayout {
  readonly name: string;
  /** Bytes, as this kernel knows it. */
  readonly sizeBytes: number;
  /** Fewer are refused. @defaultValue all */
  readonly minBytes?: number;
  readonly fields: Readonly<Record<string, Field>>;
}

/** What the fields of a struct hold. */
export type FieldValues<F extends StructLayout["fields"]> = {
  -readonly [K in keyof F]: F[K][1] extends "u64" ? bigint : number;
};

/** `bytes` has at least `sizeBytes`. */
export function decode({ fields }: StructLayout, bytes: Uint8Array): Record<string, number | bigint> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const read = ([at, type]: Field): number | bigint => {
    if (type === "u64") return view.getBigUint64(at, true);
    if (type === "u16") return view.getUint16(at, true);
    return type === "u32" ? view.getUint32(at, true) : view.getInt32(at, true);
  };
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, read(field)]));
}

/**
 * Writes the fields that `values` names. `bytes` has at least `sizeBytes`.
 * @throws RangeError a value that its field cannot hold
 */
export function write({ name, fields }: StructLayout, bytes: Uint8Array, values: object): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const [key, value] of Object.entries(values) as [string, number | bigint][]) {
    const field = fields[key];
    if (!field) throw new RangeError(`${name} has no field ${key}`);
    put(view, `${name}.${key}`, field, value);
  }
}

function put(view: DataView, name: string, [at, type]: Field, value: number | bigint): void {
  if (!holds(type, value)) throw new RangeError(`${name} is ${type} and cannot hold ${value}`);
  if (typeof value === "bigint") view.setBigUint64(at, value, true);
  else if (type === "u16") view.setUint16(at, value, true);
  else if (type === "s32") view.setInt32(at, value, true);
  else view.setUint32(at, value, true);
}

function holds(type: FieldType, value: number | bigint): boolean {
  if (typeof value === "bigint") return type === "u64" && BigInt.asUintN(64, value) === value;
  if (type === "u64" || !Number.isInteger(value)) return false;
  if (type === "s32") return (value | 0) === value;
  return value >= 0 && value < 2 ** (8 * BYTES[type]);
}
