import { quote } from './numbers.js';

/** JSON text: a long one encoded as UTF-8, a short one as a string, which is cheaper to send. */
export type JsonText = string | Buffer;

/** A text that is longer is returned as bytes. */
const maxStringBytes = 16_384;

/** A text that is longer is encoded by Node; for a shorter one, the call costs more than this loop. */
const maxLoopLength = 256;

const initialBytes = 65_536;

const before = Buffer.from('{"data":');
const after = Buffer.from('}');

/** A larger buffer is not kept for the next text. */
const maxKeptBytes = 4 * 1024 * 1024;

/** The most bytes that a UTF-16 unit needs in UTF-8. */
const bytesPerUnit = 3;

/** Returns the whole response that has nothing but the `data` that {@link JsonOutput.take} returned. */
export const responseWith = (data: Buffer): Buffer => Buffer.from(data.buffer);

/**
 * Writes one JSON text after the other into one buffer. Hot: strings that are put together piece by piece
 * would be copied twice before they are sent, and make several times the garbage.
 */
export class JsonOutput {
  private bytes = Buffer.allocUnsafeSlow(initialBytes);
  private end = 0;

  /** How many bytes are written. */
  get length(): number {
    return this.end;
  }

  /** Removes what was written after the first `length` bytes. */
  cut(length: number): void {
    this.end = length;
  }

  /** Writes JSON text as it is. */
  write(text: string): void {
    const { length } = text;
    if (length > maxLoopLength) {
      this.encode(text);
      return;
    }
    const bytes = this.reserve(length);
    let at = this.end;
    for (let index = 0; index < length; index += 1) {
      const unit = text.charCodeAt(index);
      if (unit > 0x7f) {
        this.encode(text);
        return;
      }
      bytes[at] = unit;
      at += 1;
    }
    this.end = at;
  }

  /** Writes a string as JSON. */
  writeString(text: string): void {
    const { length } = text;
    if (length > maxLoopLength) {
      this.encode(quote(text));
      return;
    }
    const bytes = this.reserve(length + 2);
    let at = this.end;
    bytes[at] = 0x22;
    for (let index = 0; index < length; index += 1) {
      const unit = text.charCodeAt(index);
      if (unit > 0x7f || unit < 0x20 || unit === 0x22 || unit === 0x5c) {
        this.encode(quote(text));
        return;
      }
      at += 1;
      bytes[at] = unit;
    }
    bytes[at + 1] = 0x22;
    this.end = at + 2;
  }

  /** Writes once more what was written from `start` to `end`. */
  repeat(start: number, end: number): void {
    this.reserve(end - start).copyWithin(this.end, start, end);
    this.end += end - start;
  }

  /**
   * Returns what was written, and begins the next text. Bytes stand in memory that has the rest of a response
   * around them: to copy them once more would double what V8 counts as garbage outside its heap.
   */
  take(): JsonText {
    const { bytes, end } = this;
    if (bytes.length > maxKeptBytes) this.bytes = Buffer.allocUnsafeSlow(initialBytes);
    this.end = 0;
    if (end <= maxStringBytes) return bytes.toString('utf8', 0, end);
    const response = Buffer.allocUnsafeSlow(before.length + end + after.length);
    before.copy(response, 0);
    bytes.copy(response, before.length, 0, end);
    after.copy(response, before.length + end);
    return response.subarray(before.length, before.length + end);
  }

  private encode(text: string): void {
    this.end += this.reserve(text.length).write(text, this.end, 'utf8');
  }

  /** Makes room for as many UTF-16 units. */
  private reserve(units: number): Buffer {
    const needed = this.end + units * bytesPerUnit;
    if (needed > this.bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.bytes.length));
      this.bytes.copy(larger, 0, 0, this.end);
      this.bytes = larger;
    }
    return this.bytes;
  }
}
