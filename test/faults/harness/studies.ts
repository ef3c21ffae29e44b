import type { InstanceToSend } from '../../../edge-gateway/scu/store.ts';
import { sha256 } from '../../support/pacsClient.ts';
import { encode, explicitLE, type Element } from '../../unit/dicom/dataSetBytes.ts';
import type { Random } from './random.ts';

/** An instance in memory, with what must come back. */
export interface Instance extends InstanceToSend {
  open(): AsyncIterable<Buffer>;
  readonly studyInstanceUID: string;
  readonly seriesInstanceUID: string;
  readonly dataSet: Buffer;
  readonly dataSetSha256: string;
  readonly shape: InstanceShape;
}

export interface Study {
  readonly studyInstanceUID: string;
  readonly kind: StudyKind;
  readonly instances: readonly Instance[];
}

/** What modalities send: how many series and instances, and how large. */
const kinds = {
  ct: { modality: 'CT', sopClassUID: '1.2.840.10008.5.1.4.1.1.2', series: [1, 2], instances: [8, 30], side: [96, 192], frames: [1, 1] },
  mr: { modality: 'MR', sopClassUID: '1.2.840.10008.5.1.4.1.1.4', series: [2, 4], instances: [4, 12], side: [96, 128], frames: [1, 1] },
  cr: { modality: 'CR', sopClassUID: '1.2.840.10008.5.1.4.1.1.1', series: [1, 2], instances: [1, 2], side: [900, 1400], frames: [1, 1] },
  us: { modality: 'US', sopClassUID: '1.2.840.10008.5.1.4.1.1.3.1', series: [1, 1], instances: [1, 2], side: [320, 480], frames: [4, 24] },
  large: { modality: 'XA', sopClassUID: '1.2.840.10008.5.1.4.1.1.12.1', series: [1, 1], instances: [1, 1], side: [512, 512], frames: [68, 90] },
} as const;
export type StudyKind = keyof typeof kinds;
export const studyKinds = Object.keys(kinds) as StudyKind[];

type Range = readonly [number, number];
const from = (random: Random, [low, high]: Range): number => random.between(low, high);

export function makeStudy(random: Random, kind: StudyKind = random.pick(studyKinds), instanceCount?: number): Study {
  const shape = kinds[kind];
  const studyInstanceUID = random.uid();
  const instances = Array.from({ length: instanceCount === undefined ? from(random, shape.series) : 1 }, () => {
    const seriesInstanceUID = random.uid();
    const [side, frames] = [from(random, shape.side), from(random, shape.frames)];
    return Array.from({ length: instanceCount ?? from(random, shape.instances) }, (_, number) =>
      makeInstance(random, { ...shape, studyInstanceUID, seriesInstanceUID, number: number + 1, side, frames }));
  });
  return { studyInstanceUID, kind, instances: instances.flat() };
}

/** What an instance is made from, its bytes apart. */
export interface InstanceShape {
  readonly modality: string;
  readonly sopClassUID: string;
  readonly studyInstanceUID: string;
  readonly seriesInstanceUID: string;
  readonly number: number;
  readonly side: number;
  readonly frames: number;
}

export function makeInstance(random: Random, shape: InstanceShape, sopInstanceUID = random.uid()): Instance {
  const dataSet = encode(elementsOf(shape, sopInstanceUID, random.bytes(2 * shape.side * shape.side * shape.frames)));
  return {
    sopInstanceUID, sopClassUID: shape.sopClassUID, transferSyntaxUID: explicitLE, studyInstanceUID: shape.studyInstanceUID,
    seriesInstanceUID: shape.seriesInstanceUID, shape, dataSet, dataSetSha256: sha256(dataSet), open: async function* () { yield dataSet; },
  };
}

/** More of a study's first series, as a scanner sends them late. */
export function moreOf(random: Random, { instances: [first, ...others] }: Study, count: number): readonly Instance[] {
  return Array.from({ length: count }, (_, index) => makeInstance(random, { ...first!.shape, number: others.length + 2 + index }));
}

function elementsOf(shape: InstanceShape, sopInstanceUID: string, pixels: Buffer): readonly Element[] {
  const us = (value: number): Buffer => Buffer.of(value & 0xff, value >>> 8);
  const of = (tag: number, vr: string, value: string | Buffer): Element => ({ tag, vr, value });
  return [
    of(0x00080005, 'CS', 'ISO_IR 100'), of(0x00080016, 'UI', shape.sopClassUID), of(0x00080018, 'UI', sopInstanceUID),
    of(0x00080020, 'DA', '20240501'), of(0x00080030, 'TM', '101500'), of(0x00080050, 'SH', 'A1'), of(0x00080060, 'CS', shape.modality),
    of(0x00100010, 'PN', 'Soak^Test'), of(0x00100020, 'LO', 'S-1'), of(0x00100030, 'DA', '19700101'), of(0x00100040, 'CS', 'O'),
    of(0x0020000d, 'UI', shape.studyInstanceUID), of(0x0020000e, 'UI', shape.seriesInstanceUID), of(0x00200010, 'SH', '1'), of(0x00200013, 'IS', `${shape.number}`),
    of(0x00280002, 'US', us(1)), of(0x00280004, 'CS', 'MONOCHROME2'),
    ...(shape.frames > 1 ? [of(0x00280008, 'IS', `${shape.frames}`)] : []),
    of(0x00280010, 'US', us(shape.side)), of(0x00280011, 'US', us(shape.side)), of(0x00280100, 'US', us(16)), of(0x00280101, 'US', us(16)),
    of(0x00280102, 'US', us(15)), of(0x00280103, 'US', us(0)), of(0x7fe00010, 'OW', pixels),
  ];
}
