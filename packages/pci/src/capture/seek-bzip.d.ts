/** The part of seek-bzip that is used here; it ships no types. */
declare module "seek-bzip" {
  const Bunzip: {
    decode(input: Uint8Array, output: { writeByte(byte: number): void }, multistream: boolean): void;
  };
  export default Bunzip;
}
