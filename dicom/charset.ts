/** Text of a data set ↔ its Specific Character Set (0008,0005): PS3.3 C.12.1.1.2, PS3.5 6.1 and Annexes H to K. */

/**
 * Turns the bytes of a value into text. What the character set has no meaning for becomes U+FFFD.
 * `personName`: ^ and = delimit too, and end a code extension (PS3.5 6.1.2.5.3).
 */
export type TextDecode = (bytes: Uint8Array, personName?: boolean) => string;

const escape = 0x1b;

/** A coded character set that an escape sequence puts in G0 or G1 (PS3.3 Tables C.12-3 and C.12-4). */
interface CodeElement {
  readonly half: 'G0' | 'G1';
  /** Bytes per character. */
  readonly width: 1 | 2;
  readonly decode: TextDecode;
}

const decoders = new Map<string, InstanceType<typeof TextDecoder>>();
/** @param label of the Encoding standard, whose decoders hold the same code tables */
const decodeAs = (label: string): TextDecode => (bytes) => {
  let decoder = decoders.get(label);
  if (decoder === undefined) decoders.set(label, (decoder = new TextDecoder(label, { ignoreBOM: true })));
  return decoder.decode(bytes);
};

/** Two-byte sets come in G0 with seven bits; EUC wants the eighth. */
const eucFromSevenBits = (label: string, prefix: readonly number[]): TextDecode => (bytes) => {
  const euc: number[] = [];
  for (let at = 0; at < bytes.length; at += 2) {
    euc.push(...prefix, (bytes[at] ?? 0) | 0x80);
    if (at + 1 < bytes.length) euc.push((bytes[at + 1] ?? 0) | 0x80);
  }
  return decodeAs(label)(Uint8Array.from(euc));
};

const ascii: CodeElement = { half: 'G0', width: 1, decode: decodeAs('latin1') };
const romaji: CodeElement = { half: 'G0', width: 1, decode: decodeAs('shift_jis') };
const katakana: CodeElement = { half: 'G1', width: 1, decode: decodeAs('shift_jis') };
const korean: CodeElement = { half: 'G1', width: 2, decode: decodeAs('euc-kr') };
const chinese: CodeElement = { half: 'G1', width: 2, decode: decodeAs('gbk') };
const kanji: CodeElement = { half: 'G0', width: 2, decode: eucFromSevenBits('euc-jp', []) };
const supplementaryKanji: CodeElement = { half: 'G0', width: 2, decode: eucFromSevenBits('euc-jp', [0x8f]) };
const upperHalf = (label: string): CodeElement => ({ half: 'G1', width: 1, decode: decodeAs(label) });

/** The defined terms with one byte a character, by number: their G1 and the final of its escape sequence ESC 02/13 F. */
const singleByteSets: readonly (readonly [ir: string, label: string, final: string])[] = [
  ['100', 'latin1', 'A'], ['101', 'iso-8859-2', 'B'], ['109', 'iso-8859-3', 'C'], ['110', 'iso-8859-4', 'D'],
  ['144', 'iso-8859-5', 'L'], ['127', 'iso-8859-6', 'G'], ['126', 'iso-8859-7', 'F'], ['138', 'iso-8859-8', 'H'],
  ['148', 'iso-8859-9', 'M'], ['203', 'iso-8859-15', 'b'], ['166', 'iso-8859-11', 'T'],
];

/** What stands behind ESC → the set it designates. */
const designations: ReadonlyMap<string, CodeElement> = new Map([
  ...singleByteSets.map(([, label, final]) => [`-${final}`, upperHalf(label)] as const),
  ['(B', ascii], ['(J', romaji], [')I', katakana], ['$B', kanji], ['$@', kanji], ['$(D', supplementaryKanji],
  ['$)C', korean], ['$)A', chinese],
]);

/** The G0 and G1 that a defined term starts with. */
interface InitialSets {
  readonly g0: CodeElement;
  readonly g1?: CodeElement;
}
const initialSets: ReadonlyMap<string, InitialSets> = new Map<string, InitialSets>([
  ['6', { g0: ascii }],
  ['13', { g0: romaji, g1: katakana }],
  ['87', { g0: ascii }],
  ['159', { g0: ascii }],
  ['149', { g0: ascii, g1: korean }],
  ['58', { g0: ascii, g1: chinese }],
  ...singleByteSets.map(([ir, label]) => [ir, { g0: ascii, g1: upperHalf(label) }] as const),
]);

/** The sets without code extensions (PS3.3 Table C.12-5). */
const wholeSets: ReadonlyMap<string, string> = new Map([
  ['192', 'utf-8'], ['UTF8', 'utf-8'], ['GB18030', 'gb18030'], ['GBK', 'gbk'], ['GB2312', 'gbk'],
]);

/** `ISO 2022 IR 100`, and the spellings that occur instead (`ISO_IR_100`, `ISO-IR 100`, `UTF-8`), as `100`, `UTF8`. */
const termKey = (term: string): string => {
  const plain = term.toUpperCase().replace(/[\s_-]/g, '');
  return /^(?:ISO2022|ISO)IR(\d+)$/.exec(plain)?.[1] ?? plain;
};

/** No Specific Character Set: ISO 646. Bytes beyond it, which should not be there, are taken as Latin-1. */
const decodeDefault = decodeAs('latin1');
const cache = new Map<string, TextDecode>();

/**
 * The decoder for the values of Specific Character Set.
 *
 * @param terms in order, padding allowed; an empty first value is ISO 646 (PS3.3 C.12.1.1.2)
 * @returns a decoder; terms that are not known decode like ISO 646
 */
export const textDecoderFor = (terms: readonly string[]): TextDecode => {
  const keys = terms.map(termKey);
  const name = keys.join('\\');
  const known = cache.get(name);
  if (known !== undefined) return known;
  const decode = createDecode(keys);
  if (cache.size < 256) cache.set(name, decode);
  return decode;
};

const createDecode = (keys: readonly string[]): TextDecode => {
  const whole = keys.map((key) => wholeSets.get(key)).find((label) => label !== undefined);
  if (whole !== undefined) return decodeAs(whole);
  const first = initialSets.get(keys[0] || '6') ?? { g0: ascii };
  const others = keys.slice(1).flatMap((key) => initialSets.get(key)?.g1 ?? []);
  const fallbackG1 = first.g1 ?? others[0] ?? upperHalf('latin1');
  return (bytes, personName = false) =>
    isPlain(bytes) ? decodeDefault(bytes) : decodeCodeExtensions(bytes, first.g0, fallbackG1, personName ? nameDelimiters : delimiters);
};

/** Only ISO 646, as nearly all values are. */
const isPlain = (bytes: Uint8Array): boolean => {
  for (const byte of bytes) if (byte >= 0x80 || byte === escape) return false;
  return true;
};

/** At these G0 and G1 are as at the start again (PS3.5 6.1.2.5.3): \\ TAB LF FF CR, and ^ = in a PN. */
const delimiters: ReadonlySet<number> = new Set([0x5c, 0x09, 0x0a, 0x0c, 0x0d]);
const nameDelimiters: ReadonlySet<number> = new Set([...delimiters, 0x5e, 0x3d]);

/**
 * Decodes with the code extensions of ISO/IEC 2022 that DICOM allows (PS3.5 6.1.2.5). Where writers forget to
 * designate G1 anew after a delimiter, the set that `g1` names stays in force.
 */
const decodeCodeExtensions = (bytes: Uint8Array, g0: CodeElement, g1: CodeElement, resets: ReadonlySet<number>): string => {
  let text = '';
  let lower = g0;
  let upper = g1;
  for (let at = 0; at < bytes.length; ) {
    const byte = bytes[at] ?? 0;
    if (byte === escape) {
      const [designated, lengthBytes] = designationAt(bytes, at + 1);
      if (designated?.half === 'G0') lower = designated;
      else if (designated !== undefined) upper = designated;
      at += 1 + lengthBytes;
      continue;
    }
    const element = byte >= 0x80 ? upper : byte <= 0x20 ? ascii : lower;
    const end = runEnd(bytes, at, element, resets);
    text += element.decode(bytes.subarray(at, end));
    if (element.width === 1 && resets.has(bytes[end - 1] ?? 0)) [lower, upper] = [g0, g1];
    at = end;
  }
  return text;
};

/** The set that the bytes behind an ESC designate, and how many they are; an unknown sequence is skipped by its form. */
const designationAt = (bytes: Uint8Array, at: number): readonly [CodeElement | undefined, number] => {
  let end = at;
  while (end < bytes.length && end < at + 3 && (bytes[end] ?? 0) >= 0x20 && (bytes[end] ?? 0) <= 0x2f) end += 1;
  const sequence = String.fromCharCode(...bytes.subarray(at, end + 1));
  return [designations.get(sequence), Math.min(end + 1, bytes.length) - at];
};

/** Where the run of one code element that starts at `at` ends: at the other half, control characters, or a delimiter. */
const runEnd = (bytes: Uint8Array, at: number, element: CodeElement, resets: ReadonlySet<number>): number => {
  const part = partOf(bytes[at] ?? 0);
  let end = at;
  while (end < bytes.length && partOf(bytes[end] ?? 0) === part) {
    if (element.width === 1 && resets.has(bytes[end] ?? 0)) return end + 1;
    end += element.width;
  }
  return Math.min(end, bytes.length);
};

/** Control characters and space, G0, G1, and ESC by itself. */
const partOf = (byte: number): 'control' | 'G0' | 'G1' | 'escape' =>
  byte >= 0x80 ? 'G1' : byte === escape ? 'escape' : byte <= 0x20 ? 'control' : 'G0';
