import { textDecoderFor } from './charset.ts';

/** @returns undefined when the character set has no code for the text */
export type TextEncode = (text: string) => Uint8Array | undefined;

const utf8 = new TextEncoder();
const asciiText = /^[\x00-\x7f]*$/;
const doubleByteTerms = /^(?:GB18030|GBK)$/;

/** From the decoder, so that both read the same tables. ISO 646 below 80H is the same in all of them. */
function tableOf(terms: readonly string[], sequences: Iterable<readonly number[]>): ReadonlyMap<string, readonly number[]> {
  const decode = textDecoderFor(terms);
  const table = new Map<string, readonly number[]>();
  for (const sequence of sequences) {
    const text = decode(Uint8Array.from(sequence));
    if (!text.includes('\ufffd') && [...text].length === 1 && !table.has(text)) table.set(text, sequence);
  }
  return table;
}

const singleBytes = (): Iterable<readonly number[]> => Array.from({ length: 0x80 }, (_, index) => [0x80 + index]);
function* doubleBytes(): Generator<readonly number[]> {
  for (let lead = 0x81; lead <= 0xfe; lead++) for (let trail = 0x40; trail <= 0xfe; trail++) if (trail !== 0x7f) yield [lead, trail];
}

const tables = new Map<string, ReadonlyMap<string, readonly number[]>>();

/**
 * The encoder for the values of Specific Character Set: ISO 646 when there are none, the sets of one byte a character, UTF-8, GB18030 and
 * GBK in their codes of two bytes. Of a set with code extensions it uses what needs no escape sequence, its first value.
 */
export function textEncoderFor(terms: readonly string[]): TextEncode {
  const [first = ''] = terms.map((term) => term.trim());
  if (/^ISO_IR 192$/.test(first)) return (text) => utf8.encode(text);
  return (text) => {
    if (asciiText.test(text)) return utf8.encode(text);
    if (first === '' || first === 'ISO_IR 6' || first === 'ISO 2022 IR 6') return undefined;
    let table = tables.get(first);
    if (!table) tables.set(first, (table = tableOf([first], doubleByteTerms.test(first) ? doubleBytes() : singleBytes())));
    const bytes: number[] = [];
    for (const character of text) {
      const code = asciiText.test(character) ? [character.charCodeAt(0)] : table.get(character);
      if (!code) return undefined;
      bytes.push(...code);
    }
    return Uint8Array.from(bytes);
  };
}
