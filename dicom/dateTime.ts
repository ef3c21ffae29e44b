/** Dates and times as matching compares them (PS3.4 C.2.2.2.5): fixed-width text whose order is that of time. */

export type TemporalVR = 'DA' | 'TM' | 'DT';

/** Both bounds inclusive, in the form of `earliest`; a bound that is absent is open. */
export interface TemporalRange {
  readonly from?: string;
  readonly to?: string;
}

export const isTemporalVR = (vr: string): vr is TemporalVR => vr === 'DA' || vr === 'TM' || vr === 'DT';

/** What completes a value of lesser precision to its first and last instant, YYYYMMDDHHMMSS then the fraction. */
const firstDigits = '00000101000000';
const lastDigits = '99991231235959';

const patterns: Readonly<Record<TemporalVR, RegExp>> = {
  DA: /^(?<digits>\d{8})$/,
  TM: /^(?<digits>\d{2}(?:\d{2}(?:\d{2})?)?)(?:(?<=\d{6})\.(?<fraction>\d{1,6}))?$/,
  DT: /^(?<digits>\d{4}(?:\d{2}){0,5})(?:(?<=^\d{14})\.(?<fraction>\d{1,6}))?(?<offset>[+-]\d{4})?$/,
};

/** `YYYY.MM.DD` and `HH:MM:SS`, which PS3.5 6.2 tells readers to accept, in today's form; padding removed. */
const todaysForm = (vr: TemporalVR, text: string): string => {
  const trimmed = text.trim();
  if (vr === 'DA') return trimmed.replace(/(\d{4})\.(\d{2})\.(\d{2})/g, '$1$2$3');
  return vr === 'TM' ? trimmed.replace(/:/g, '') : trimmed;
};

/** Offsets from UTC lie between -1200 and +1400 (PS3.5 6.2): what is outside is a year behind the hyphen of a range. */
const offsetMinutes = (offset: string): number | undefined => {
  const minutes = (Number(offset.slice(1, 3)) * 60 + Number(offset.slice(3))) * (offset.startsWith('-') ? -1 : 1);
  return Number(offset.slice(3)) < 60 && minutes >= -720 && minutes <= 840 ? minutes : undefined;
};

/** The first and the last instant that a value of DA, TM or DT covers; undefined when it is none. */
const covered = (vr: TemporalVR, text: string): { readonly first: string; readonly last: string } | undefined => {
  const groups = patterns[vr].exec(text)?.groups;
  if (groups === undefined) return undefined;
  const { digits = '', fraction = '', offset } = groups;
  if (vr === 'DA') return { first: digits, last: digits };
  const shift = offset === undefined ? 0 : offsetMinutes(offset);
  if (shift === undefined) return undefined;
  const start = vr === 'TM' ? 8 : 0;
  const complete = (fill: string, digit: string): string | undefined =>
    toUTC(`${digits}${lastDayFitted(digits, fill, start)}.${fraction.padEnd(6, digit)}`, vr, shift);
  const first = complete(firstDigits, '0');
  const last = complete(lastDigits, '9');
  return first === undefined || last === undefined ? undefined : { first, last };
};

/** The digits that are missing behind `digits`; the last day of a month is a matter of the month. */
const lastDayFitted = (digits: string, fill: string, start: number): string => {
  const missing = fill.slice(start + digits.length);
  if (fill !== lastDigits || start !== 0 || digits.length !== 6) return missing;
  const days = new Date(Date.UTC(Number(digits.slice(0, 4)), Number(digits.slice(4)), 0)).getUTCDate();
  return `${String(days).padStart(2, '0')}${missing.slice(2)}`;
};

/** Shifts `YYYYMMDDHHMMSS.FFFFFF` by its offset; undefined when there is no such date. A TM is left as it is. */
const toUTC = (text: string, vr: TemporalVR, shiftMinutes: number): string | undefined => {
  if (vr === 'TM' || shiftMinutes === 0) return text;
  const iso = text.replace(/^(....)(..)(..)(..)(..)(..).*$/, '$1-$2-$3T$4:$5:$6Z');
  const instant = new Date(Date.parse(iso) - shiftMinutes * 60_000);
  if (Number.isNaN(instant.getTime())) return undefined;
  return `${instant.toISOString().slice(0, 19).replace(/[-T:]/g, '')}${text.slice(14)}`;
};

/**
 * The first instant that a stored value covers: `YYYYMMDD`, `HHMMSS.FFFFFF`, or `YYYYMMDDHHMMSS.FFFFFF` in UTC when the
 * value has an offset (without one it is taken as it stands). Undefined when the value breaks its VR.
 */
export const earliest = (vr: TemporalVR, value: string): string | undefined => covered(vr, todaysForm(vr, value))?.first;

/**
 * Reads a query value of DA, TM or DT (PS3.4 C.2.2.2.1, C.2.2.2.5): `a-b`, `-b`, `a-`, or one value, which stands for all
 * that it covers (TM `10` is the hour from 100000 to 105959.999999). In a DT a hyphen before a possible offset from UTC
 * belongs to the offset. A range of TM whose end comes first, as over midnight, matches nothing.
 *
 * @returns undefined when the value is neither
 */
export const parseRange = (vr: TemporalVR, value: string): TemporalRange | undefined => {
  const text = todaysForm(vr, value);
  const single = covered(vr, text);
  if (single !== undefined) return { from: single.first, to: single.last };
  for (let at = text.indexOf('-'); at >= 0; at = text.indexOf('-', at + 1)) {
    const [left, right] = [text.slice(0, at).trim(), text.slice(at + 1).trim()];
    const from = left === '' ? undefined : covered(vr, left);
    const to = right === '' ? undefined : covered(vr, right);
    if ((left === '' && right === '') || (left !== '' && from === undefined) || (right !== '' && to === undefined)) continue;
    return { ...(from === undefined ? {} : { from: from.first }), ...(to === undefined ? {} : { to: to.last }) };
  }
  return undefined;
};

export const isWithin = (range: TemporalRange, instant: string): boolean =>
  (range.from === undefined || instant >= range.from) && (range.to === undefined || instant <= range.to);
